"""What is reached over HTTP; `hooks`, where texts are delivered to us, has a listener of its own."""
