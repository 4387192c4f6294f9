"""What makes a client a user agent: bodies, redirects, retries, and the one request loop."""
