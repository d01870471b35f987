# The list of optimizers, for type checkers and for `_lazy`: one import on a line.
from fastopt.optim.adabelief import AdaBelief as AdaBelief
from fastopt.optim.adadelta import Adadelta as Adadelta
from fastopt.optim.adagrad import Adagrad as Adagrad
from fastopt.optim.adam import Adam as Adam
from fastopt.optim.adamax import Adamax as Adamax
from fastopt.optim.adamw import AdamW as AdamW
from fastopt.optim.adan import Adan as Adan
from fastopt.optim.asgd import ASGD as ASGD
from fastopt.optim.lamb import LAMB as LAMB
from fastopt.optim.lars import LARS as LARS
from fastopt.optim.lion import Lion as Lion
from fastopt.optim.nadam import NAdam as NAdam
from fastopt.optim.radam import RAdam as RAdam
from fastopt.optim.rmsprop import RMSprop as RMSprop
from fastopt.optim.rprop import Rprop as Rprop
from fastopt.optim.sgd import SGD as SGD
from fastopt.optim.signsgd import SignSGD as SignSGD
