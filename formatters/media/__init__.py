"""Files beside labels: images, video, audio."""
