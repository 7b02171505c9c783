"""Sweeps: a study at every point of a grid of keys, parameters, folds, models and attacks, on many workers.

A task is one point.  Its result is kept under a name that covers everything it depends on
(:mod:`~sotto.bench.sweeps.store`): the study, the point, the content of the corpus, and the source code.  A sweep that
was killed, or is started again with a larger grid, computes what is missing and nothing else; the table is the same in
whatever order and on whatever workers the tasks ran, because a study draws all it draws from the task's own seeds.

Mechanism, lowest first: ``studies`` (what can vary and what is measured), ``source`` (what the code is), ``plan`` (from
what is asked for to tasks), ``store``, ``executors`` (this process, joblib, Dask), ``running``, ``summary``.
"""
