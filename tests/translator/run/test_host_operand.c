/* Addresses that instructions name, by hand-assembled bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>

#include "translator/run/host_operand.h"

/* Register n holds (n + 1) << 32. */
#define R(n) ((uint64_t)((n) + 1) << 32)

static const struct {
    const char *text;
    uint8_t code[12];
    bool found;
    uint64_t addr;
} rows[] = {
    {"mov eax, [rdi]", {0x8b, 0x07}, true, R(7)},
    {"mov [rdi + 16], rsi", {0x48, 0x89, 0x77, 0x10}, true, R(7) + 16},
    {"mov al, [rdi - 1]", {0x8a, 0x47, 0xff}, true, R(7) - 1},
    {"mov r9, [r15 + rbx]", {0x4d, 0x8b, 0x0c, 0x1f}, true, R(15) + R(3)},
    {"mov r9, [r15 + r12*8 - 128]", {0x4f, 0x8b, 0x4c, 0xe7, 0x80}, true, R(15) + R(12) * 8 - 128},
    {"movzx eax, word [r13 + 0]", {0x41, 0x0f, 0xb7, 0x45, 0x00}, true, R(13)},
    {"mov eax, [rsp + 305419896]",
     {0x8b, 0x84, 0x24, 0x78, 0x56, 0x34, 0x12},
     true,
     R(4) + 0x12345678},
    {"mov eax, [rbp*2 - 4096]", {0x8b, 0x04, 0x6d, 0x00, 0xf0, 0xff, 0xff}, true, R(5) * 2 - 4096},
    {"mov word [rdi], 1", {0x66, 0xc7, 0x07, 0x01, 0x00}, true, R(7)},
    {"lock xadd [r15 + rax], rcx", {0xf0, 0x49, 0x0f, 0xc1, 0x0c, 0x07}, true, R(15) + R(0)},
    {"lock cmpxchg [rdi], ecx", {0xf0, 0x0f, 0xb1, 0x0f}, true, R(7)},
    {"xchg [r8], rcx", {0x49, 0x87, 0x08}, true, R(8)},
    {"movsd xmm1, [r15 + r10]", {0xf2, 0x43, 0x0f, 0x10, 0x0c, 0x17}, true, R(15) + R(10)},
    {"movss [rdi + 4], xmm9", {0xf3, 0x44, 0x0f, 0x11, 0x4f, 0x04}, true, R(7) + 4},
    {"movbe eax, [rdi]", {0x0f, 0x38, 0xf0, 0x07}, true, R(7)},
    {"vmovsd xmm1, [r15 + r10]", {0xc4, 0x81, 0x7b, 0x10, 0x0c, 0x17}, true, R(15) + R(10)},
    {"vmovups [rax + 8], xmm0", {0xc5, 0xf8, 0x11, 0x40, 0x08}, true, R(0) + 8},
    {"or byte [rcx], 1", {0x80, 0x09, 0x01}, true, R(1)},
    {"mov eax, ecx", {0x89, 0xc8}, false, 0},
    {"mov eax, [rip + 8]", {0x8b, 0x05, 0x08, 0x00, 0x00, 0x00}, false, 0},
    {"mov eax, fs:[rdi]", {0x64, 0x8b, 0x07}, false, 0},
    {"rep stosb", {0xf3, 0xaa}, false, 0},
    {"push rax", {0x50}, false, 0},
};

static void addresses_are_read_off(void **state)
{
    uint64_t regs[16], addr;
    (void)state;
    for (unsigned i = 0; i < 16; i++)
        regs[i] = R(i);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool found = host_operand(rows[i].code, regs, &addr);
        if (found != rows[i].found || (found && addr != rows[i].addr))
            fail_msg("%s: %d %#llx", rows[i].text, found, (unsigned long long)addr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses_are_read_off)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
