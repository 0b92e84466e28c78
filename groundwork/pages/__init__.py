"""Tables and pages, whatever they are about: one table printed as text, Markdown, HTML or CSV, the page, drawings."""
