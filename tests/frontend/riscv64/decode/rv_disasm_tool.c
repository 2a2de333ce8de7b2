/*
 * Prints what our disassembler makes of words, for compare_binutils.py:
 *     rv_disasm_tool [--numeric]              reads lines "PC WORD" (hexadecimal), answers each
 *     rv_disasm_tool --patterns COUNT SEED    prints COUNT random words of each pattern
 */
#include "frontend/riscv64/decode.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_pattern_words(unsigned long count, uint64_t seed)
{
    for (size_t i = 0; i < rv_pattern_count(); i++)
        for (unsigned long n = 0; n < count; n++)
            printf("%" PRIx32 "\n", rv_pattern_random(i, &seed));
}

int main(int argc, char **argv)
{
    unsigned flags = argc == 2 && !strcmp(argv[1], "--numeric") ? RV_DISASM_NUMERIC : 0;
    char line[64], text[128], *end;

    if (argc == 4 && !strcmp(argv[1], "--patterns")) {
        print_pattern_words(strtoul(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
        return 0;
    }
    if (argc != 1 && !flags) {
        fprintf(stderr, "usage: %s [--numeric] | --patterns COUNT SEED\n", argv[0]);
        return 2;
    }
    while (fgets(line, sizeof(line), stdin)) {
        uint64_t pc = strtoull(line, &end, 16);

        rv_disasm_as(text, sizeof(text), pc, (uint32_t)strtoul(end, NULL, 16), flags);
        puts(text);
    }
    return 0;
}
