"""The verbs of ``python -m automl_engine meta``.

Each is one module and one line here; each module has ``arguments(parser)`` and ``main(options) -> int``, and imports
nothing heavy until then.
"""

VERBS: dict[str, tuple[str, str]] = {
    "variations": ("automl_engine.lab.meta.variations", "make data sets by class subset, sample count, resolution"),
    "scores": ("automl_engine.lab.meta.evidence", "add meta-features and scores of benchmarks to the tables"),
    "costs": ("automl_engine.lab.meta.costs", "measure the duration of each operation on this machine"),
    "evaluate": ("automl_engine.lab.meta.evaluate", "leave-one-out regret of every selector"),
    "vae": ("automl_engine.lab.meta.autoencoder", "train the autoencoder whose latent space compares images"),
    "samples": ("automl_engine.metalearning.samples", "store samples of public data sets for comparisons"),
    "classes": ("automl_engine.metalearning.vae.classes", "the most similar known class of each class of a data set"),
    "recognise": ("automl_engine.lab.meta.recognition", "how often the source of a batch is recognised, by its size"),
    "reduce": ("automl_engine.lab.meta.reduce", "the few configurations that are nearly as good as all"),
}
