"""Random correlation matrices by the onion method."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clusterwhy._validation import as_random_state, check_count, check_positive

from ._validation import RandomStateLike


def onion_correlation(
    n_features: int, *, eta: float = 1.0, random_state: RandomStateLike = None
) -> npt.NDArray[np.float64]:
    r"""Draw a random correlation matrix, layer by layer.

    The matrix ``R`` has density proportional to ``det(R) ** (eta - 1)`` over all correlation matrices:
    ``eta=1`` is uniform, larger values pull the correlations towards zero.

    Row k of the Cholesky factor of ``R`` is a unit vector. Its first k entries are
    :math:`\sqrt{y}\,u`, with u uniform on the sphere of dimension k and
    :math:`y \sim \mathrm{Beta}(k/2,\ \eta + (d - 1 - k)/2)`; its last entry is :math:`\sqrt{1 - y}`.
    Every off-diagonal correlation r then has the same margin,
    :math:`(r + 1)/2 \sim \mathrm{Beta}(\eta - 1 + d/2,\ \eta - 1 + d/2)`, whatever its place.

    Parameters
    ----------
    n_features : int
        Order d of the matrix, at least 1.
    eta : float, default=1.0
        Concentration, positive.
    random_state : int, RandomState instance, Generator or None, default=None
        Determines the matrix. Pass an int for reproducible output.

    Returns
    -------
    correlation : ndarray of shape (n_features, n_features), float64
        Symmetric, positive definite, with a diagonal of exactly 1.

    Raises
    ------
    TypeError
        If `n_features` is not an integer or `eta` not a number.
    ValueError
        If `n_features` is below 1 or `eta` is not positive and finite.

    References
    ----------
    .. [1] S. Ghosh and S. G. Henderson, "Behavior of the NORTA method for correlated random vector
       generation as the dimension increases", ACM TOMACS 13(3), 2003.
    .. [2] W. Qiu and H. Joe, "Generation of random clusters with specified degree of separation",
       Journal of Classification 23, 2006.
    .. [3] D. Lewandowski, D. Kurowicka and H. Joe, "Generating random correlation matrices based on
       vines and extended onion method", Journal of Multivariate Analysis 100(9), 2009.

    Examples
    --------
    >>> from clusterwhy.datasets import onion_correlation
    >>> R = onion_correlation(4, random_state=0)
    >>> R.shape, bool((R == R.T).all())
    ((4, 4), True)
    """
    d = check_count(n_features, "n_features", minimum=1)
    eta = check_positive(eta, "eta")
    rng = as_random_state(random_state)

    factor = np.zeros((d, d))
    factor[0, 0] = 1.0
    for k in range(1, d):
        y = rng.beta(k / 2, eta + (d - 1 - k) / 2)
        direction = rng.normal(size=k)
        direction /= np.linalg.norm(direction)
        factor[k, :k] = np.sqrt(y) * direction
        factor[k, k] = np.sqrt(1.0 - y)
    correlation: npt.NDArray[np.float64] = factor @ factor.T
    # BLAS may round the two triangles, and the unit diagonal, differently.
    correlation = (correlation + correlation.T) / 2
    np.fill_diagonal(correlation, 1.0)
    # Of a small eta the last eigenvalue may be rounding, of either sign.
    nudge = 0.0
    while True:
        nudged = correlation / (1.0 + nudge)
        np.fill_diagonal(nudged, 1.0)
        try:
            np.linalg.cholesky(nudged)
        except np.linalg.LinAlgError:
            nudge = max(1e-15, 10 * nudge)
            continue
        return nudged
