"""Users' files with a tool ``t`` in them: for `test_source`. Their head is `HEAD`."""

from __future__ import annotations

from typing import Any

HEAD = "from __future__ import annotations\nfrom tools import Failed, Tool, tool\nimport tools\n"

TRAVELS: dict[str, tuple[str, Any]] = {
    "bare decorator": (
        """\
@tool
def t(state): return 1
""",
        1,
    ),
    "decorator of a module": (
        """\
@tools.tool
def t(state): return 1
""",
        1,
    ),
    "decorator with arguments": (
        """\
@tool(name='other', lane='x')
def t(state): return 1
""",
        1,
    ),
    "no decorator": (
        """\
def t(state): return 1
t = tool(t)
""",
        1,
    ),
    "decorator below": (
        """\
def twice(f):
    import functools
    @functools.wraps(f)
    def g(*a, **k): return 2 * f(*a, **k)
    return g
@tool
@twice
def t(state): return 4
""",
        8,
    ),
    "tool that calls itself": (
        """\
@tool
def t(state, n: int = 3): return t({}, n=n - 1) + 1 if n else 0
""",
        3,
    ),
    "tool that calls another": (
        """\
@tool
def other(state, n: int): return n
@tool
def t(state): return other({}, n=5)
""",
        5,
    ),
    "functions that call each other": (
        """\
def even(n): return n == 0 or odd(n - 1)
def odd(n): return n > 0 and even(n - 1)
@tool
def t(state): return even(10)
""",
        True,
    ),
    "default that is a global": (
        """\
A = 1
B = [A, 2]
@tool
def t(state, x=B): return x
""",
        [1, 2],
    ),
    "two names for a function": (
        """\
def f(): return 1
g = f
@tool
def t(state): return g() + f()
""",
        2,
    ),
    "global that is changed": (
        """\
N = 0
@tool
def t(state):
    global N
    N += 1
    return N
""",
        1,
    ),
    "class with a base": (
        """\
class A:
    def f(self): return 1
class B(A):
    def g(self): return super().f() + 1
@tool
def t(state): return B().g()
""",
        2,
    ),
    "dataclass": (
        """\
import dataclasses
from typing import ClassVar
@dataclasses.dataclass(order=True)
class P:
    x: int
    n: ClassVar[int] = 7
    u: 'Unknown' = None
@tool
def t(state): return [P(3).x, P(1) < P(2), P.n, len(dataclasses.fields(P))]
""",
        [3, True, 7, 2],
    ),
    "enumeration": (
        """\
import enum
class C(enum.Enum):
    RED = 1
@tool
def t(state): return C.RED.value
""",
        1,
    ),
    "named tuple": (
        """\
from typing import NamedTuple
class P(NamedTuple):
    x: int
    y: int = 2
@tool
def t(state): return list(P(1))
""",
        [1, 2],
    ),
    "decorated helper": (
        """\
import functools
@functools.lru_cache(maxsize=None)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
@tool
def t(state): return fib(30)
""",
        832040,
    ),
    "dotted imports": (
        """\
import xml.dom, xml.etree.ElementTree
@tool
def t(state): return xml.etree.ElementTree.fromstring('<a/>').tag
""",
        "a",
    ),
    "import that has a substitute": (
        """\
try:
    import nonesuch as j
except ImportError:
    import json as j
@tool
def t(state): return j.dumps(1)
""",
        "1",
    ),
    "import of all": (
        """\
from os.path import *
@tool
def t(state): return join('a', 'b')
""",
        "a/b",
    ),
    "import from": (
        """\
from collections import OrderedDict
@tool
def t(state): return list(OrderedDict(a=1))
""",
        ["a"],
    ),
    "regular expression": (
        """\
import re
P = re.compile('B', re.I)
@tool
def t(state): return bool(P.match('b'))
""",
        True,
    ),
    "names of its own": (
        """\
@tool
def t(state): return [__name__ != '', [x for x in range(2)], (lambda y: y)(1), {k for k in 'a'} == {'a'}]
""",
        [True, [0, 1], 1, True],
    ),
    "strings of many lines": (
        """\
class G:
    S = '''
  two
lines'''
    @tool
    def t(state):
        return '''
 a
b'''
t = G.t
""",
        "\n a\nb",
    ),
    "closure": (
        """\
def make(n):
    k = n * 2
    def helper(): return k
    @tool
    def t(state): return helper() + n
    return t
t = make(5)
""",
        15,
    ),
    "class in a closure": (
        """\
def make(n):
    class C:
        def f(self): return n
    @tool
    def t(state): return C().f()
    return t
n = 1
t = make(5)
""",
        5,
    ),
    "helper in an if": (
        """\
if True:
    def f(): return 3
@tool
def t(state): return f()
""",
        3,
    ),
    "failure": (
        """\
@tool
def t(state):
    try:
        raise Failed({'a': 1})
    except Failed as e:
        return e.value
""",
        {"a": 1},
    ),
    "annotated local": (
        """\
@tool
def t(state):
    x: Unknown = 1
    return x
""",
        1,
    ),
    "unknown annotations": (
        """\
@tool
def t(state) -> Unknown:
    def inner(y: AlsoUnknown) -> Never: return y
    return inner(1)
""",
        1,
    ),
}
"""What it is: the source, and what the tool answers."""

REFUSED: dict[str, tuple[str, str]] = {
    "file object": (
        """\
L = open('/dev/null')
L.close()
@tool
def t(state): return L
""",
        "uses 'L', an object of type 'TextIOWrapper'",
    ),
    "lambda": (
        """\
f = lambda: 1
@tool
def t(state): return f()
""",
        "uses 'f', a lambda",
    ),
    "undefined": (
        """\
@tool
def t(state): return nonesuch
""",
        "uses 'nonesuch', which is defined nowhere",
    ),
    "its own path": (
        """\
@tool
def t(state): return __file__
""",
        "uses '__file__', a path of the server",
    ),
    "relative import": (
        """\
@tool
def t(state):
    from . import x
""",
        "uses 't', which has a relative import in it",
    ),
    "constant that is none": (
        """\
D = {'k': object()}
def f(): return D
@tool
def t(state): return f()
""",
        "uses 'D', an object of type 'dict'",
    ),
    "module of the user's": (
        """\
from tests.tools import lanes
@tool
def t(state): return lanes
""",
        "uses 'lanes', imported from 'tests.tools', which is not installed as a package",
    ),
    "class of a user's module": (
        """\
from tests.tools.lanes import Lane as L
@tool
def t(state): return L
""",
        "uses 'L', imported from 'tests.tools.lanes', which is not installed as a package",
    ),
    "dotted module of the user's": (
        """\
import tests.tools.lanes
@tool
def t(state): return tests
""",
        "uses 'tests', imported from 'tests.tools.lanes', which is not installed as a package",
    ),
}
"""What it is: the source, and how the message begins after the tool's name."""
