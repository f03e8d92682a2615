"""One evaluation: who is asked what, how answers are judged and saved, and where asking ends."""
