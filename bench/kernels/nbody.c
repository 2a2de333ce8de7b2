/* Five bodies under gravity, by symplectic steps: square roots, divisions and dependent sums. */
#include <math.h>

#include "bench.h"

BENCH_FP("nbody", -0x1.11274c0fb0504p-2)

#define BODIES 5

struct body {
    double p[3], v[3], mass;
};

static void advance(struct body *b, double dt)
{
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++) {
            double d[3], square = 0;
            for (int k = 0; k < 3; k++) {
                d[k] = b[i].p[k] - b[j].p[k];
                square += d[k] * d[k];
            }
            double pull = dt / (square * sqrt(square));
            for (int k = 0; k < 3; k++) {
                b[i].v[k] -= d[k] * b[j].mass * pull;
                b[j].v[k] += d[k] * b[i].mass * pull;
            }
        }
    }
    for (int i = 0; i < BODIES; i++) {
        for (int k = 0; k < 3; k++) {
            b[i].p[k] += dt * b[i].v[k];
        }
    }
}

static double energy(const struct body *b)
{
    double e = 0;
    for (int i = 0; i < BODIES; i++) {
        const double *v = b[i].v;
        e += 0.5 * b[i].mass * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        for (int j = i + 1; j < BODIES; j++) {
            double square = 0;
            for (int k = 0; k < 3; k++) {
                square += (b[i].p[k] - b[j].p[k]) * (b[i].p[k] - b[j].p[k]);
            }
            e -= b[i].mass * b[j].mass / sqrt(square);
        }
    }
    return e;
}

static double kernel(void)
{
    /* A heavy body and four light ones on circles of growing radius: nothing comes close, so that
     * the last digits of a host's arithmetic do not grow. */
    struct body b[BODIES] = {{.mass = 40}};
    for (int i = 1; i < BODIES; i++) {
        double r = 3.0 * i;
        b[i].p[i & 1] = r;
        b[i].p[2] = 0.1 * i;
        b[i].v[1 - (i & 1)] = sqrt(40 / r);
        b[i].mass = 0.01 * i;
    }
    for (int n = 0; n < 3000000; n++) {
        advance(b, 0.001);
    }
    return energy(b);
}
