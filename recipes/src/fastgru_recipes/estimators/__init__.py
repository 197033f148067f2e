"""The recipes as scikit-learn estimators."""

from fastgru_recipes.estimators.forecaster import Forecaster
from fastgru_recipes.estimators.generator import Generator
from fastgru_recipes.estimators.sequence_classifier import SequenceClassifier
from fastgru_recipes.estimators.tagger import Tagger
from fastgru_recipes.estimators.translator import Translator

__all__ = ["Forecaster", "Generator", "SequenceClassifier", "Tagger", "Translator"]
