"""CRPS of Student's t of unit variance, made by scipy: prints JSON.
Run: python student_t_crps.py > test/vectors/student_t_crps.json

Each case is [nu, u, crps, P(|Z| <= u)], by the closed form of Jordan, Krueger & Lerch (2019, scoringRules, appendix A) on
scipy's t, and checked here against the integral of (F(z) - 1{z >= u})^2. nu 1000 stands for the normal.
"""

import json
import numpy as np
import scipy
from scipy.integrate import quad
from scipy.special import beta
from scipy.stats import t as student


def crps_standard(z, nu):
    """CRPS of the t of scale 1 at z."""
    f, F = student.pdf(z, nu), student.cdf(z, nu)
    spread = 2 * np.sqrt(nu) / (nu - 1) * beta(0.5, nu - 0.5) / beta(0.5, nu / 2) ** 2
    return z * (2 * F - 1) + 2 * f * (nu + z * z) / (nu - 1) - spread


def by_integral(z, nu):
    below = quad(lambda x: student.cdf(x, nu) ** 2, -np.inf, z)[0]
    return below + quad(lambda x: student.sf(x, nu) ** 2, z, np.inf)[0]


cases = []
for nu in (4.5, 6, 12, 1000):
    scale = np.sqrt((nu - 2) / nu)
    for u in (0, 0.005, 0.1, 0.337, 0.5, 1, 1.234, 2, 3.3, 5, 8, 15):
        value = crps_standard(u / scale, nu) * scale
        assert abs(value - by_integral(u / scale, nu) * scale) < 1e-7
        cases.append([nu, u, float(value), float(2 * student.cdf(u / scale, nu) - 1)])

print(json.dumps({"provenance": f"scripts/vectors/student_t_crps.py, scipy {scipy.__version__}", "cases": cases}))
