"""From evidence to a verdict: pairs, findings, tests of rules, and what they settle. All pure."""
