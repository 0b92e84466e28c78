"""Tables and pages on any subject: one table printed as text, Markdown, HTML or CSV, the page, drawings."""
