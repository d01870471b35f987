"""One word and one order for the user's functions: a call in others is refused with ours in the message."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import fastopt

X = np.array([0.5, -1.0])


def f(x):
    return float(np.sum(x**4 - x**2))


def grad(x):
    return 4 * x**3 - 2 * x


def hessian(x):
    return np.diag(12 * x**2 - 2)


def hvp(x, v):
    return (12 * x**2 - 2) * v


#: Those that need f, and those that do not, with what else they need.
WITH_F = {
    "check_grad": (fastopt.check_grad, {}),
    "escape": (fastopt.escape, {}),
    "why_stalled": (fastopt.why_stalled, {"lr": 0.1}),
}
WITHOUT_F = {
    "critical_point": (fastopt.critical_point, {}),
    "hessian": (fastopt.hessian, {}),
    "hvp": (fastopt.hvp, {}),
}
EVERY = WITH_F | WITHOUT_F


@pytest.mark.parametrize("name", EVERY)
def test_the_order_is_the_same_everywhere(name):
    function, _ = EVERY[name]
    names = list(inspect.signature(function).parameters)
    assert names[: 3 if name in WITH_F else 2] == (["f", "grad", "x"] if name in WITH_F else ["grad", "x"])
    assert not {"hess", "hessp", "exact", "jac", "fun", "x0"} & set(names)


WORDS = {"hess": "hessian", "hessp": "hvp", "exact": "hvp"}


@pytest.mark.parametrize(
    ("name", "word"),
    [(n, w) for n in EVERY for w in WORDS if WORDS[w] in inspect.signature(EVERY[n][0]).parameters],
)
def test_another_word_is_answered_with_ours(name, word):
    function, more = EVERY[name]
    arguments = (f, grad, X) if name in WITH_F else (grad, X)
    words = f"{word}: here it is called {WORDS[word]}, as in {name}.*{WORDS[word]}=..."
    with pytest.raises(TypeError, match=words):
        function(*arguments, **more, **{word: hessian if word == "hess" else hvp})


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(("word", "ours"), [("jac", "grad"), ("x0", "x")])
def test_words_of_scipy_for_what_is_needed(name, word, ours):
    function, more = EVERY[name]
    given = {"grad": grad, "x": X, **({"f": f} if name in WITH_F else {}), **more}
    given[word] = given.pop(ours)
    with pytest.raises(TypeError, match=f"{word}: here it is called {ours}, as in "):
        function(**given)


@pytest.mark.parametrize("name", WITH_F)
def test_a_missing_f_is_noticed(name):
    function, more = WITH_F[name]
    with pytest.raises(TypeError, match=r"grad: expected a function.*array.*the order is .*is f missing\?"):
        function(grad, X, **more)


@pytest.mark.parametrize("name", WITH_F)
@pytest.mark.parametrize("arguments", [(X, f, grad), (f, X, grad), (X, grad, f)])
def test_an_array_where_a_function_belongs(name, arguments):
    function, more = WITH_F[name]
    words = rf"(f|grad): expected a function of x, got array.*; the order is {name}\(f, grad, x"
    with pytest.raises(TypeError, match=words):
        function(*arguments, **more)


@pytest.mark.parametrize("name", WITHOUT_F)
def test_point_and_gradient_the_wrong_way_round(name):
    function, more = WITHOUT_F[name]
    with pytest.raises(TypeError, match=rf"grad: expected a function.*the order is {name}\(grad, x\)"):
        function(X, grad, **more)


@pytest.mark.parametrize("name", WITHOUT_F)
def test_f_where_none_is_taken(name):
    function, more = WITHOUT_F[name]
    with pytest.raises(
        TypeError, match=rf"x: expected the point.*got <function.*the order is {name}\(grad, x\)"
    ):
        function(f, grad, X, **more)


def test_critical_point_says_where_f_goes():
    with pytest.raises(TypeError, match=r"the order is critical_point\(grad, x\), and f is a keyword"):
        fastopt.critical_point(f, grad, X)


@pytest.mark.parametrize("name", WITH_F)
@pytest.mark.parametrize("x", [X, [X], {"w": X, "b": np.ones(1)}], ids=["array", "list", "dict"])
def test_f_and_its_gradient_exchanged(name, x):
    """Both are functions: what they return tells."""
    function, more = WITH_F[name]

    def arrays(x):
        return list(x.values()) if isinstance(x, dict) else x if isinstance(x, list) else [x]

    def value(x):
        return sum(f(a) for a in arrays(x))

    def slope(x):
        new = [grad(a) for a in arrays(x)]
        if isinstance(x, dict):
            return dict(zip(x, new, strict=True))
        return new if isinstance(x, list) else new[0]

    words = rf"(a gradient|f) returns; the order is {name}\(f, grad, x(, lr)?\)"
    with pytest.raises(TypeError, match=words):
        function(slope, value, x, **more)


@pytest.mark.parametrize("name", WITHOUT_F)
def test_f_in_place_of_the_gradient(name):
    function, more = WITHOUT_F[name]
    words = rf"grad: expected .*a number, which f returns; the order is {name}\(grad, x\)"
    with pytest.raises(TypeError, match=words):
        function(f, X, **more)


def test_a_product_that_is_called_later_says_so_without_the_order():
    """The call that had an order is over."""
    product = fastopt.hvp(lambda x: grad(x) if (x == X).all() else f(x), X)
    with pytest.raises(TypeError, match=r"grad: expected .*a number, which f returns$"):
        product(np.ones(2))


@pytest.mark.parametrize("x", [X, [X], {"w": X}], ids=["array", "list", "dict"])
def test_a_rate_where_the_point_belongs(x):
    words = r"x: expected the point.*got 0.1 of type float; the order is why_stalled\(f, grad, x, lr\)"
    with pytest.raises(TypeError, match=words):
        fastopt.why_stalled(f, grad, 0.1, x)
    with pytest.raises(TypeError, match=words):
        fastopt.why_stalled(f, grad, lr=x, x=0.1)


def test_what_is_no_mistake_still_works():
    assert fastopt.check_grad(f, grad, X, hvp=hvp, hessian=hessian).ok
    assert fastopt.critical_point(None, None, hessian=np.eye(2)).kind == "minimum"
    np.testing.assert_allclose(fastopt.hvp(None, X, hvp=hvp)(np.ones(2)), hvp(X, np.ones(2)))
    assert fastopt.escape(f, None, np.zeros(2), hessian=hessian).moved
    assert fastopt.hessian(x=X, grad=grad).shape == (2, 2)
