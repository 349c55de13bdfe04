"""The verbs of ``python -m automl_engine meta``.

Each is one module and one line here; each module has ``arguments(parser)`` and ``main(options) -> int``, and imports
nothing heavy until then.
"""

VERBS: dict[str, tuple[str, str]] = {
    "variations": ("automl_engine.lab.meta.variations", "make data sets by class subset, sample count, resolution"),
    "scores": ("automl_engine.lab.meta.evidence", "run rows on data sets and add what they reach to the tables"),
    "costs": ("automl_engine.lab.meta.costs", "measure what each operation takes on this machine"),
    "evaluate": ("automl_engine.lab.meta.evaluate", "leave-one-out regret of every selector"),
    "start": ("automl_engine.lab.meta.start", "what a chosen start of auto is worth"),
    "vae": ("automl_engine.lab.meta.autoencoder", "train the autoencoder whose latent space compares images"),
    "samples": ("automl_engine.metalearning.samples", "keep some samples of public data sets to compare with"),
    "classes": ("automl_engine.metalearning.vae.classes", "which known class each of a data set's looks most like"),
    "recognise": ("automl_engine.lab.meta.recognition", "how often a batch's source is known, by its size"),
    "reduce": ("automl_engine.lab.meta.reduce", "the few rows that are nearly as good as all"),
}
