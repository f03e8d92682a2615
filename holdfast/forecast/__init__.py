"""Forecasts what a policy can show and what it will cost, before anything is asked."""
