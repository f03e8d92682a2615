"""What a policy can show and what it will cost, said before anything is asked."""
