"""The handlers of the page's addresses, one module per page. Callers use `app.make_app`."""
