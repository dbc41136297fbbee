"""What every page that is served shares: escaping, headers, limits, forms, sign-in, and the server itself."""
