"""What tests stand on: real servers, a permanent cast, and hands that drive the sandbox's pages."""
