"""Random numbers with explicit keys: counter-based, the same eager, compiled and on any number of threads.

Invariant: a sampler is a pure function of its key and its parameters, and every transform takes it as such.
Start at keys.py; elementary.py has the samplers that need no rejection.
"""

from staged_ad.random.counting import categorical as categorical
from staged_ad.random.counting import poisson as poisson
from staged_ad.random.elementary import bernoulli as bernoulli
from staged_ad.random.elementary import bits as bits
from staged_ad.random.elementary import cauchy as cauchy
from staged_ad.random.elementary import exponential as exponential
from staged_ad.random.elementary import gumbel as gumbel
from staged_ad.random.elementary import integers as integers
from staged_ad.random.elementary import laplace as laplace
from staged_ad.random.elementary import logistic as logistic
from staged_ad.random.elementary import normal as normal
from staged_ad.random.elementary import uniform as uniform
from staged_ad.random.gamma import beta as beta
from staged_ad.random.gamma import chisquare as chisquare
from staged_ad.random.gamma import dirichlet as dirichlet
from staged_ad.random.gamma import gamma as gamma
from staged_ad.random.gamma import loggamma as loggamma
from staged_ad.random.gamma import standard_t as standard_t
from staged_ad.random.gaussian import multivariate_normal as multivariate_normal
from staged_ad.random.gaussian import truncated_normal as truncated_normal
from staged_ad.random.keys import fold_in as fold_in
from staged_ad.random.keys import key as key
from staged_ad.random.keys import split as split
from staged_ad.random.selecting import choice as choice
from staged_ad.random.selecting import permutation as permutation
