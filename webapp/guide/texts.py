"""Terms and credits as they come with the site, until an administrator changes them."""

from __future__ import annotations

TERMS = """\
This site trains models on data that you upload. Use it for data that you may process, and for lawful purposes only.

Your uploads, runs and models are visible to you and to the administrators of this server until you publish them. \
Deleting removes the files from the disk at once.

Results come without any warranty. Check a model on data of your own before you rely on it.

The administrator may set limits, and may delete data that breaks these terms."""

CREDITS = """\
AutoDL Self-Service continues the AutoDL challenges of 2019 and 2020 by ChaLearn and their partners, and the \
self-service that Michaël Vaccaro built on their platform.

Its rules, its score and its data format are those of the challenge: Z. Liu et al., AutoCV Challenge Design and \
Baseline Results, CAp 2019; Z. Liu et al., Winning Solutions and Post-Challenge Analyses of the ChaLearn AutoDL \
Challenge 2019, IEEE TPAMI 2021.

Configurations follow the published solutions of DeepWisdom, AutoCLINT (Kakao Brain) and the AutoML group in Freiburg.

Starter data: digits and wine from the UCI Machine Learning Repository, as shipped with scikit-learn (CC BY 4.0); \
life expectancies from Gapminder, as shipped with plotly (CC BY 4.0); texts from the documentation of Python (PSF \
licence). The sounds and the clips are generated."""

TEXTS = {"terms": ("Terms", TERMS), "credits": ("Credits", CREDITS)}
