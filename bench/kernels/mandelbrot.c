/* The Mandelbrot set on a grid: long dependent chains of multiply and add, and a compare each. */
#include "bench.h"

BENCH_FP("mandelbrot", 0x1.7b6b6958e29fap+21)

#define WIDTH 1000
#define LIMIT 500

static double kernel(void)
{
    double escaped = 0, area = 0;
    for (int y = 0; y < WIDTH; y++) {
        for (int x = 0; x < WIDTH; x++) {
            double cr = 3.0 * x / WIDTH - 2.2, ci = 3.0 * y / WIDTH - 1.5;
            double zr = 0, zi = 0;
            int n = 0;
            while (n < LIMIT && zr * zr + zi * zi < 4) {
                double t = zr * zr - zi * zi + cr;
                zi = 2 * zr * zi + ci;
                zr = t;
                n++;
            }
            if (n == LIMIT) {
                area += 1;
            } else if (n < 30) {
                /* Points that leave early leave alike on every host. */
                escaped += n;
            }
        }
    }
    return escaped + area * 1e-6;
}
