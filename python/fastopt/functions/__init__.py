"""The user's functions, as analysis and minimisation see them: one layer under `curvature` and `methods`.

Nothing here is public. Whoever computes with a function of the user's finds:

- `layout`: x, one array or a list, tuple or dict of them, as one flat vector, and back;
- `arguments`: one word and one order for everything that is passed, and what an error says about others;
- `counted`: f and grad on flat vectors, called with copies, counted, their results checked;
- `evaluation`: f, grad and x together: what they say there, and how finely;
- `products`, `matrices`: the Hessian as a user gives it, by products or as a matrix;
- `lengths`: norms that never overflow, and the lengths that a point suggests for steps;
- `line`, `step_search`: differences of the gradient along a line, and the step that the gradient agrees with.

Nothing here knows `curvature` or `methods`.
"""
