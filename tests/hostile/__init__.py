"""What nobody should send, sent to every port of a real shop: it is refused, and breaks nothing."""
