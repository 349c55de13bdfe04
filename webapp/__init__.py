"""The Django project: accounts, datasets, runs, leaderboard, portfolio, api, ops; engine.py is the only bridge."""
