/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel that prints on COM1 what it was booted with, line by line, then does what its command
 * line says:
 *
 *   exit8=N, exit32=N   writes N to port F4h, with that width
 *   shutdown            writes "Shutdown" to port 8900h
 *   testdev             prints what the ports and lines of QEMU's test device do
 *   cpus=N              expects so many CPUs: waits longer for them
 *   (else)              stops the machine by ACPI's S5 as Hypercore's PC has it
 */
#include <stdbool.h>
#include <stdint.h>

#define LAPIC      0xfee00000u
#define AP_CODE    0x8000u
#define AP_COUNTER 0x7000u

extern const uint8_t ap_start[], ap_end[], bss_end[];

void kernel_main(uint32_t eax, uint32_t ebx);

/* --- Ports and the console --- */

static void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static uint16_t in16(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void put(char c)
{
	while (!(in8(0x3fd) & 0x20))
		;
	out8(0x3f8, (uint8_t)c);
}

static void print(const char *s)
{
	while (*s)
		put(*s++);
}

static void print_hex(uint64_t v)
{
	int shift = 60;

	while (shift && !(v >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		put("0123456789abcdef"[v >> shift & 15]);
}

static void field(const char *name, uint64_t v)
{
	put(' ');
	print(name);
	put('=');
	print_hex(v);
}

static void line_of(const char *what, uint64_t v)
{
	print(what);
	field("value", v);
	put('\n');
}

/* --- What it was booted with --- */

static void module(uint64_t at, uint64_t size, const char *name)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < size; i++)
		sum = sum * 31 + ((const uint8_t *)(uintptr_t)at)[i];
	print("module");
	field("size", size);
	field("sum", sum);
	field("behind", at >= (uintptr_t)bss_end);
	print(" name=");
	print(name);
	put('\n');
}

static void range(uint64_t base, uint64_t size, uint32_t type)
{
	print("memory");
	field("base", base);
	field("size", size);
	field("type", type);
	put('\n');
}

static const uint32_t *words(uint32_t at)
{
	return (const uint32_t *)(uintptr_t)at;
}

static const char *text(uint32_t at)
{
	return (const char *)(uintptr_t)at;
}

/* Multiboot 0.6.96, 3.3. Returns the command line. */
static const char *multiboot(uint32_t at)
{
	const uint32_t *i = words(at);

	print("multiboot");
	field("flags", i[0]);
	field("lower", i[1]);
	field("upper", i[2]);
	put('\n');
	for (uint32_t m = 0; m < i[5]; m++) {
		const uint32_t *mod = words(i[6] + 16 * m);

		module(mod[0], mod[1] - mod[0], text(mod[2]));
	}
	for (uint32_t e = i[12]; e < i[12] + i[11]; e += words(e)[0] + 4) {
		const uint32_t *w = words(e);

		range(w[1] | (uint64_t)w[2] << 32, w[3] | (uint64_t)w[4] << 32, w[5]);
	}
	return text(i[4]);
}

/* Xen's start_info.h, version 1. */
static const char *pvh(uint32_t at)
{
	const uint32_t *i = words(at);

	print("pvh");
	field("magic", i[0]);
	field("version", i[1]);
	field("flags", i[2]);
	field("rsdp", *(const uint64_t *)(uintptr_t)i[8] == 0x2052545020445352);
	put('\n');
	for (uint32_t m = 0; m < i[3]; m++) {
		const uint32_t *mod = words(i[4] + 32 * m);

		module(mod[0], mod[2], text(mod[4]));
	}
	for (uint32_t e = 0; e < i[12]; e++) {
		const uint32_t *w = words(i[10] + 24 * e);

		range(w[0] | (uint64_t)w[1] << 32, w[2] | (uint64_t)w[3] << 32, w[4]);
	}
	return text(i[6]);
}

/* --- Words of the command line --- */

static const char *find(const char *line, const char *word)
{
	for (; *line; line++) {
		const char *a = line, *b = word;

		while (*b && *a == *b)
			a++, b++;
		if (!*b)
			return a;
	}
	return 0;
}

static uint32_t number(const char *s)
{
	uint32_t v = 0;

	while (*s >= '0' && *s <= '9')
		v = v * 10 + (uint32_t)(*s++ - '0');
	return v;
}

/* --- The other CPUs --- */

static void write_lapic(uint32_t offset, uint32_t v)
{
	*(volatile uint32_t *)(LAPIC + offset) = v;
}

static void wait(uint32_t rounds)
{
	while (rounds--)
		in8(0x80);
}

/* INIT and start-up to all but itself (SDM Vol. 3A 8.4.4.1), as if there were any number. */
static void count_cpus(uint32_t expected)
{
	volatile uint16_t *counter = (volatile uint16_t *)AP_COUNTER;
	uint8_t *code = (uint8_t *)AP_CODE;

	*counter = 0;
	for (uint32_t i = 0; i < (uint32_t)(ap_end - ap_start); i++)
		code[i] = ap_start[i];
	write_lapic(0xf0, 0x1ff);
	write_lapic(0x300, 0xc4500);
	wait(2000);
	for (int i = 0; i < 2; i++) {
		write_lapic(0x300, 0xc4600 | AP_CODE >> 12);
		wait(2000);
	}
	/* Patient until those that are expected have come, then for some time more. */
	for (uint32_t rounds = 0; rounds < 3000 && *counter + 1u < expected; rounds++)
		wait(1000);
	wait(20000);
	line_of("cpus", *counter + 1u);
}

/* --- Test devices --- */

/* Requests of the first 8259: lines 0 to 7. */
static uint8_t requests(void)
{
	out8(0x20, 0x0a);
	return in8(0x20);
}

static void try_test_device(void)
{
	volatile uint32_t *memory = (volatile uint32_t *)0xff000000u;

	out32(0xe0, 0x12345678);
	out8(0xe1, 0xab);
	line_of("port32", in32(0xe0));
	line_of("port16", in16(0xe2));
	line_of("port8", in8(0xe1));
	out32(0xe4, 0x7000);
	out8(0x21, 0xff);
	out8(0x4d0, 0x20); /* level-triggered */
	out8(0x2005, 1);
	line_of("line5", requests() & 0x20);
	out8(0x2005, 0);
	line_of("line5", requests() & 0x20);
	memory[3] = 0xfeedface;
	line_of("memory", memory[3]);
}

/* --- The end --- */

static void end(const char *cmdline)
{
	const char *at;

	while (!(in8(0x3fd) & 0x40))
		;
	if ((at = find(cmdline, "exit8=")))
		out8(0xf4, (uint8_t)number(at));
	else if ((at = find(cmdline, "exit32=")))
		out32(0xf4, number(at));
	else if (find(cmdline, "shutdown"))
		for (at = "Shutdown"; *at; at++)
			out8(0x8900, (uint8_t)*at);
	else
		out16(0x604, 0x3400);
}

void kernel_main(uint32_t eax, uint32_t ebx)
{
	const char *cmdline;

	out8(0x3fb, 3);
	if (eax == 0x2badb002)
		cmdline = multiboot(ebx);
	else
		cmdline = pvh(ebx);
	print("cmdline=[");
	print(cmdline);
	print("]\n");
	const char *cpus = find(cmdline, "cpus=");

	count_cpus(cpus ? number(cpus) : 1);
	if (find(cmdline, "testdev"))
		try_test_device();
	end(cmdline);
}
