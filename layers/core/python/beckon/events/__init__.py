"""What people did: the Event, the wire formats it is parsed from, and Rejections with their reason."""
