"""`keyed`: Shuffling, Flipping and random orthogonal matrices on waveforms and spectrograms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import keyed
from bench.emotion_models import EmotionModel, emotion_model
from bench.experiment import Cell, Experiment, Plan
from bench.parties import Part
from bench.row import Security
from bench.workbench import Workbench
from link import Link
from models.training import predict

ATTACKS: Mapping[str, str] = {}
