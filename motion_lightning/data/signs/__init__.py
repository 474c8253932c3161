"""Signs: drawn and filmed clips of a signer's hands, and keypoints of hands, arms and head, with their texts."""
