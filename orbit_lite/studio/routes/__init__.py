"""What each address of the page does: a module for each page. Others call `app.make_app`."""
