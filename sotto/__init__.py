"""The application: the ``sotto`` command line, the party processes behind it, and the report page."""
