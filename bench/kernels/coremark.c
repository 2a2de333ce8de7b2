/*
 * In the manner of CoreMark, and our own code: a linked list that is searched, reversed and sorted,
 * small integer matrices, a state machine over text, all folded into a CRC-16.
 */
#include "bench.h"

BENCH_INT("coremark", 261710203u)

static uint16_t crc16(uint16_t c, uint16_t v)
{
    for (int i = 0; i < 16; i++) {
        unsigned bit = (c ^ v) & 1;
        c = (uint16_t)(c >> 1);
        v = (uint16_t)(v >> 1);
        if (bit) {
            c ^= 0xa001;
        }
    }
    return c;
}

/* ---- list ---- */

#define NODES 120

struct node {
    struct node *next;
    int16_t key, tag;
};

static struct node nodes[NODES];

static struct node *list_make(uint64_t seed)
{
    for (int i = 0; i < NODES; i++) {
        nodes[i].key = (int16_t)(bench_random(&seed) >> 49);
        nodes[i].tag = (int16_t)i;
        nodes[i].next = i + 1 < NODES ? &nodes[i + 1] : NULL;
    }
    return nodes;
}

static struct node *list_reverse(struct node *l)
{
    struct node *done = NULL;
    while (l != NULL) {
        struct node *next = l->next;
        l->next = done;
        done = l;
        l = next;
    }
    return done;
}

static const struct node *list_find(const struct node *l, int16_t key)
{
    while (l != NULL && l->key != key) {
        l = l->next;
    }
    return l;
}

static int by_key(const struct node *a, const struct node *b)
{
    return a->key - b->key;
}

static int by_tag(const struct node *a, const struct node *b)
{
    return a->tag - b->tag;
}

/* Bottom-up merge sort: runs of 1, 2, 4, ... nodes are merged until one run is left. */
static struct node *list_sort(struct node *l,
                              int (*order)(const struct node *, const struct node *))
{
    for (int width = 1;; width *= 2) {
        struct node *p = l, *tail = NULL;
        int merges = 0;
        l = NULL;
        while (p != NULL) {
            struct node *q = p;
            int np = 0, nq = width;
            merges++;
            while (np < width && q != NULL) {
                np++;
                q = q->next;
            }
            while (np > 0 || (nq > 0 && q != NULL)) {
                struct node *e;
                if (np > 0 && (nq == 0 || q == NULL || order(p, q) <= 0)) {
                    e = p;
                    p = p->next;
                    np--;
                } else {
                    e = q;
                    q = q->next;
                    nq--;
                }
                if (tail != NULL) {
                    tail->next = e;
                } else {
                    l = e;
                }
                tail = e;
            }
            p = q;
        }
        tail->next = NULL;
        if (merges <= 1) {
            return l;
        }
    }
}

static uint16_t list_work(uint16_t c, uint64_t seed)
{
    struct node *l = list_make(seed);
    for (int16_t k = 0; k < 32; k++) {
        const struct node *n = list_find(l, (int16_t)(nodes[(k * 7) % NODES].key + (k & 1)));
        c = crc16(c, n != NULL ? (uint16_t)n->tag : 0xffff);
        l = list_reverse(l);
    }
    l = list_sort(l, by_key);
    for (const struct node *n = l; n != NULL; n = n->next) {
        c = crc16(c, (uint16_t)n->key);
    }
    l = list_sort(l, by_tag);
    return crc16(c, (uint16_t)l->next->key);
}

/* ---- matrix ---- */

#define DIM 12

static int16_t ma[DIM][DIM], mb[DIM][DIM];
static int32_t mc[DIM][DIM];

static uint16_t matrix_work(uint16_t c, uint64_t seed)
{
    for (int i = 0; i < DIM; i++) {
        for (int j = 0; j < DIM; j++) {
            ma[i][j] = (int16_t)(bench_random(&seed) >> 53);
            mb[i][j] = (int16_t)(bench_random(&seed) >> 54);
        }
    }
    for (int i = 0; i < DIM; i++) {
        for (int j = 0; j < DIM; j++) {
            int32_t sum = 0;
            for (int k = 0; k < DIM; k++) {
                sum += ma[i][k] * mb[k][j];
            }
            mc[i][j] = sum;
        }
    }
    for (int i = 0; i < DIM; i++) {
        int32_t row = 0;
        for (int j = 0; j < DIM; j++) {
            int32_t v = mc[i][j];
            row += (v >> 2 & 0x0f) * (v >> 5 & 0x7f) + (v > 0 ? 1 : -1);
        }
        c = crc16(c, (uint16_t)row);
    }
    return c;
}

/* ---- state machine: which of the comma-separated words are numbers, and of what form ---- */

enum state { START, SIGN, INTEGER, POINT, FRACTION, EXPONENT, SCIENTIFIC, INVALID, STATES };

static enum state advance(enum state s, char ch)
{
    int digit = ch >= '0' && ch <= '9';
    switch (s) {
    case START:
        return digit ? INTEGER : ch == '+' || ch == '-' ? SIGN : ch == '.' ? POINT : INVALID;
    case SIGN: return digit ? INTEGER : ch == '.' ? POINT : INVALID;
    case INTEGER: return digit ? INTEGER : ch == '.' ? POINT : ch == 'e' ? EXPONENT : INVALID;
    case POINT: return digit ? FRACTION : INVALID;
    case FRACTION: return digit ? FRACTION : ch == 'e' ? EXPONENT : INVALID;
    case EXPONENT: return digit || ch == '+' || ch == '-' ? SCIENTIFIC : INVALID;
    case SCIENTIFIC: return digit ? SCIENTIFIC : INVALID;
    default: return INVALID;
    }
}

static uint16_t state_work(uint16_t c, uint64_t seed)
{
    static const char text[] =
        "5012,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e+3,-.123e-2,"
        "-87e+832,+0.6e-12,T0.3e-1F,-T.T++Tq,1T3.4e4z,34.0e-T^,+,.,e,12e,7";
    unsigned counts[STATES] = {0};
    enum state s = START;
    for (int pass = 0; pass < 3; pass++) {
        /* Each pass damages other characters, as the seed says. */
        unsigned step = 5 + (unsigned)(seed >> pass & 15);
        for (unsigned i = 0; i < sizeof text - 1; i++) {
            char ch = i % step == 0 && text[i] != ',' ? (char)(text[i] ^ pass) : text[i];
            if (ch == ',') {
                counts[s]++;
                s = START;
            } else {
                s = advance(s, ch);
            }
        }
    }
    for (int i = 0; i < STATES; i++) {
        c = crc16(c, (uint16_t)counts[i]);
    }
    return c;
}

static uint64_t kernel(void)
{
    uint16_t c = 0;
    uint64_t sum = 0;
    for (uint64_t round = 1; round <= 8000; round++) {
        c = list_work(c, round);
        c = matrix_work(c, round);
        c = state_work(c, round);
        sum += c;
    }
    return sum;
}
