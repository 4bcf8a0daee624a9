/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Port I/O: all widths and forms. The port to read and write is the 16550's scratch register; wide
 * accesses go to ports E0h to E3h of QEMU's pc-testdev, which keep what is written.
 */
#include "guest/x86_64/feature.h"

#define SCRATCH 0x3ffu
#define STORE   0xe0u

static uint8_t *const buffer = user_data;

/* Keeps a value, or the case is skipped: not every machine has it. */
static void need_store(void)
{
	out32(STORE, 0x12345678);
	if (in32(STORE) != 0x12345678)
		skip("pc-testdev at port E0H");
}

static void need_scratch(void)
{
	out8(SCRATCH, 0x69);
	if (in8(SCRATCH) != 0x69)
		skip("a 16550 at port 3F8H");
}

TEST(byte, "SDM Vol. 2A IN, OUT: AL")
{
	need_scratch();
	for (unsigned int value = 0; value < 256; value += 5) {
		out8(SCRATCH, (uint8_t)value);
		CHECK_EQ(in8(SCRATCH), value);
	}
}

TEST(word, "SDM Vol. 2A IN, OUT: AX")
{
	need_store();
	out16(STORE, 0xbeef);
	CHECK_EQ(in16(STORE), 0xbeef);
	CHECK_EQ(in32(STORE), 0x1234beef);
}

TEST(doubleword, "SDM Vol. 2A IN, OUT: EAX")
{
	need_store();
	out32(STORE, 0xdeadbeef);
	CHECK_EQ(in32(STORE), 0xdeadbeef);
}

TEST(parts, "SDM Vol. 1 19.3: 16- and 32-bit ports are consecutive 8-bit ports")
{
	need_store();
	out8(STORE + 1, 0xaa);
	out16(STORE + 2, 0xccbb);
	CHECK_EQ(in32(STORE), 0xccbbaa78);
	CHECK_EQ(in8(STORE + 3), 0xcc);
}

TEST(in_byte_keeps_the_rest, "SDM Vol. 2A IN: only AL is written")
{
	uint64_t rax = UINT64_C(0x1122334455667788);

	need_scratch();
	__asm__ volatile("inb %w1" : "+a"(rax) : "d"(SCRATCH));
	CHECK_EQ(rax, UINT64_C(0x1122334455667769));
}

TEST(in_word_keeps_the_rest, "SDM Vol. 2A IN: only AX is written")
{
	uint64_t rax = UINT64_C(0x1122334455667788);

	__asm__ volatile("inw %w1" : "+a"(rax) : "d"(0x80));
	CHECK_EQ(rax >> 16, UINT64_C(0x112233445566));
}

TEST(in_doubleword_clears_the_rest,
     "SDM Vol. 2A IN, Vol. 1 3.4.1.1: a 32-bit result is zero-extended")
{
	uint64_t rax = UINT64_C(0x1122334455667788);

	__asm__ volatile("inl %w1" : "+a"(rax) : "d"(0x80));
	CHECK_EQ(rax >> 32, 0);
}

TEST(immediate_port, "SDM Vol. 2A IN, OUT: an 8-bit immediate port")
{
	uint64_t rax = 0x11223344;

	need_store();
	__asm__ volatile("outl %%eax, $0xe0; xorl %%eax, %%eax; inl $0xe0, %%eax" : "+a"(rax));
	CHECK_EQ(rax, 0x11223344);
	rax = 0x99;
	__asm__ volatile("outb %%al, $0xe1; xorl %%eax, %%eax; inw $0xe0, %%ax" : "+a"(rax));
	CHECK_EQ(rax, 0x9944);
}

TEST(port_is_dx, "SDM Vol. 2A IN: the upper bits of RDX are ignored")
{
	uint64_t rax = 0;

	need_scratch();
	__asm__ volatile("inb %%dx" : "+a"(rax) : "d"(UINT64_C(0xabcdef0123450000) | SCRATCH));
	CHECK_EQ(rax, 0x69);
}

TEST(rex_w_is_ignored, "SDM Vol. 2A IN, OUT: there is no 64-bit form")
{
	uint64_t rax = UINT64_MAX;

	need_store();
	__asm__ volatile(".byte 0x48, 0xed" : "+a"(rax) : "d"(STORE));
	CHECK_EQ(rax, 0x12345678);
}

TEST(flags_are_kept, "SDM Vol. 2A IN, OUT: no flags affected")
{
	uint64_t flags;

	__asm__ volatile("pushq $0x8d7; popfq; inb $0x80, %%al; outb %%al, $0x80; pushfq; popq %0; "
	                 "pushq $2; popfq"
	                 : "=r"(flags)
	                 :
	                 : "rax", "cc", "memory");
	CHECK_EQ(flags & 0x8d5, 0x8d5);
}

/* ---- Strings ---- */

struct string {
	unsigned int width, count;
	bool down, repeat;
};

#define STRING(instruction, from)                                                                  \
	__asm__ volatile(instruction : "+c"(count), from(address) : "d"(port) : "memory", "cc")

static void string_out(unsigned int width, bool repeat, uint16_t port, uint64_t *source,
                       uint64_t *elements)
{
	uint64_t count = *elements, address = *source;

	switch (width | (repeat ? 0x10u : 0)) {
	case 1: STRING("outsb", "+S"); break;
	case 2: STRING("outsw", "+S"); break;
	case 4: STRING("outsl", "+S"); break;
	case 0x11: STRING("rep outsb", "+S"); break;
	case 0x12: STRING("rep outsw", "+S"); break;
	default: STRING("rep outsl", "+S"); break;
	}
	*elements = count;
	*source = address;
}

static void string_in(unsigned int width, bool repeat, uint16_t port, uint64_t *to,
                      uint64_t *elements)
{
	uint64_t count = *elements, address = *to;

	switch (width | (repeat ? 0x10u : 0)) {
	case 1: STRING("insb", "+D"); break;
	case 2: STRING("insw", "+D"); break;
	case 4: STRING("insl", "+D"); break;
	case 0x11: STRING("rep insb", "+D"); break;
	case 0x12: STRING("rep insw", "+D"); break;
	default: STRING("rep insl", "+D"); break;
	}
	*elements = count;
	*to = address;
}

static uint16_t string_port(unsigned int width)
{
	if (width == 1) {
		need_scratch();
		return SCRATCH;
	}
	need_store();
	return STORE;
}

/* What was last written is read back; registers have moved by what was transferred. */
static void string_case(const struct test_case *self)
{
	const struct string *row = self->row;
	unsigned int number = row->repeat ? row->count : 1;
	uint64_t step = row->down ? -(uint64_t)row->width : row->width;
	uint64_t start = (uint64_t)buffer + 1000, address = start, count = row->count;
	uint16_t port = string_port(row->width);

	for (unsigned int n = 0; n < PAGE; n++)
		buffer[n] = (uint8_t)(n * 7 + 1);
	if (row->down)
		__asm__ volatile("std");
	string_out(row->width, row->repeat, port, &address, &count);
	__asm__ volatile("cld");
	CHECK_EQ(address, start + number * step);
	CHECK_EQ(count, row->repeat ? 0 : row->count);
	if (number) {
		uint64_t last = address - step;
		uint32_t want = 0, got = row->width == 1   ? in8(port)
		                         : row->width == 2 ? in16(port)
		                                           : in32(port);

		for (unsigned int n = row->width; n--;)
			want = want << 8 | buffer[last - (uint64_t)buffer + n];
		CHECK_EQ(got, want);
	}
	address = start;
	count = row->count;
	if (row->down)
		__asm__ volatile("std");
	string_in(row->width, row->repeat, port, &address, &count);
	__asm__ volatile("cld");
	CHECK_EQ(address, start + number * step);
	CHECK_EQ(count, row->repeat ? 0 : row->count);
	for (unsigned int n = 1; n < number; n++)
		for (unsigned int byte = 0; byte < row->width; byte++)
			CHECK_EQ(load8(start + n * step + byte), load8(start + byte));
}

#define STRING_CASE(name, width, count, down, repeat)                                              \
	static const struct string row_##name = { width, count, down, repeat };                    \
	TEST_ROW(name, string_case, &row_##name, "SDM Vol. 2A INS, OUTS, REP")
STRING_CASE(string_byte, 1, 9, false, false);
STRING_CASE(string_word, 2, 9, false, false);
STRING_CASE(string_doubleword, 4, 9, false, false);
STRING_CASE(string_byte_down, 1, 9, true, false);
STRING_CASE(string_word_down, 2, 9, true, false);
STRING_CASE(string_doubleword_down, 4, 9, true, false);
STRING_CASE(rep_byte, 1, 100, false, true);
STRING_CASE(rep_word, 2, 50, false, true);
STRING_CASE(rep_doubleword, 4, 25, false, true);
STRING_CASE(rep_byte_down, 1, 100, true, true);
STRING_CASE(rep_word_down, 2, 50, true, true);
STRING_CASE(rep_doubleword_down, 4, 25, true, true);
STRING_CASE(rep_byte_none, 1, 0, false, true);
STRING_CASE(rep_word_none, 2, 0, false, true);
STRING_CASE(rep_doubleword_none, 4, 0, true, true);
STRING_CASE(rep_byte_many, 1, 3000, false, true);

/* Two pages, linearly neighbours, physically apart. */
static uint8_t *first, *second;

static void map_two_pages(uint64_t second_flags)
{
	first = page_alloc();
	page_alloc();
	second = page_alloc();
	page_map(FREE_SPACE, (uint64_t)first, PTE_P | PTE_W, 1);
	page_map(FREE_SPACE + PAGE, (uint64_t)second, second_flags, 1);
}

TEST(outs_across_pages, "SDM Vol. 2B OUTS, Vol. 3A 4.1: each page by its own translation")
{
	uint64_t address = FREE_SPACE + PAGE - 2, count = 1;

	need_store();
	map_two_pages(PTE_P);
	*(uint16_t *)(first + PAGE - 2) = 0x2211;
	*(uint16_t *)second = 0x4433;
	string_out(4, false, STORE, &address, &count);
	CHECK_EQ(in32(STORE), 0x44332211);
}

TEST(ins_across_pages, "SDM Vol. 2A INS, Vol. 3A 4.1: each page by its own translation")
{
	uint64_t address = FREE_SPACE + PAGE - 2, count = 1;

	need_store();
	map_two_pages(PTE_P | PTE_W);
	string_in(4, false, STORE, &address, &count);
	CHECK_EQ(*(uint16_t *)(first + PAGE - 2), 0x5678);
	CHECK_EQ(*(uint16_t *)second, 0x1234);
}

TEST(rep_outs_across_pages, "SDM Vol. 2B OUTS, Vol. 3A 4.1")
{
	uint64_t address = FREE_SPACE + PAGE - 20, count = 40;

	need_scratch();
	map_two_pages(PTE_P);
	second[19] = 0xe7;
	string_out(1, true, SCRATCH, &address, &count);
	CHECK_EQ(in8(SCRATCH), 0xe7);
	CHECK_EQ(address, FREE_SPACE + PAGE + 20);
}

TEST(rep_ins_across_pages, "SDM Vol. 2A INS, Vol. 3A 4.1")
{
	uint64_t address = FREE_SPACE + PAGE - 20, count = 40;

	need_scratch();
	map_two_pages(PTE_P | PTE_W);
	string_in(1, true, SCRATCH, &address, &count);
	CHECK_EQ(first[PAGE - 20], 0x69);
	CHECK_EQ(first[PAGE - 1], 0x69);
	CHECK_EQ(second[19], 0x69);
	CHECK_EQ(second[20], 0);
}

TEST(rep_ins_faults_midway, "SDM Vol. 2B REP: on a fault the registers say what is left")
{
	uint64_t address = FREE_SPACE + PAGE - 20, count = 40;
	struct fault got;

	need_scratch();
	map_two_pages(0);
	fault_expect();
	__asm__ volatile(TRY("rep insb") : "+c"(count), "+D"(address) : "d"(SCRATCH) : "memory");
	got = fault_end();
	check_fault(HERE, "rep insb", got, PF, PF_W);
	CHECK_EQ(got.address, FREE_SPACE + PAGE);
	CHECK_EQ(count, 20);
	CHECK_EQ(address, FREE_SPACE + PAGE);
	CHECK_EQ(first[PAGE - 1], 0x69);
}

TEST(rep_outs_faults_midway, "SDM Vol. 2B REP: on a fault the registers say what is left")
{
	uint64_t address = FREE_SPACE + PAGE - 20, count = 40;
	struct fault got;

	need_scratch();
	map_two_pages(0);
	first[PAGE - 1] = 0x3c;
	fault_expect();
	__asm__ volatile(TRY("rep outsb") : "+c"(count), "+S"(address) : "d"(SCRATCH) : "memory");
	got = fault_end();
	check_fault(HERE, "rep outsb", got, PF, 0);
	CHECK_EQ(count, 20);
	CHECK_EQ(address, FREE_SPACE + PAGE);
	CHECK_EQ(in8(SCRATCH), 0x3c);
}

TEST(ins_to_read_only, "SDM Vol. 2A INS: #PF; the memory is as it was")
{
	uint64_t address = FREE_SPACE + PAGE, count = 1;

	map_two_pages(PTE_P);
	second[0] = 0x11;
	fault_expect();
	__asm__ volatile(TRY("insb") : "+c"(count), "+D"(address) : "d"(SCRATCH) : "memory");
	check_fault(HERE, "insb", fault_end(), PF, PF_P | PF_W);
	CHECK_EQ(second[0], 0x11);
	CHECK_EQ(address, FREE_SPACE + PAGE);
}

TEST(outs_not_canonical, "SDM Vol. 2B OUTS: #GP(0)")
{
	uint64_t address = UINT64_C(0x0100000000000000);

	fault_expect();
	__asm__ volatile(TRY("outsb") : "+S"(address) : "d"(0x80) : "memory");
	check_fault(HERE, "outsb", fault_end(), GP, 0);
}

TEST(outs_segment_override, "SDM Vol. 2B OUTS: DS may be overridden")
{
	uint64_t address = 0x10;

	need_scratch();
	buffer[0x30] = 0xd2;
	wrmsr(MSR_FS_BASE, (uint64_t)buffer + 0x20);
	__asm__ volatile("fs outsb" : "+S"(address) : "d"(SCRATCH) : "memory");
	CHECK_EQ(in8(SCRATCH), 0xd2);
	CHECK_EQ(address, 0x11);
}

TEST(ins_ignores_override, "SDM Vol. 2A INS: ES cannot be overridden")
{
	uint64_t address = (uint64_t)buffer + 0x40;

	need_scratch();
	buffer[0x40] = 0;
	wrmsr(MSR_FS_BASE, 0x10);
	__asm__ volatile("fs insb" : "+D"(address) : "d"(SCRATCH) : "memory");
	CHECK_EQ(buffer[0x40], 0x69);
}

TEST(string_with_32_bit_addresses, "SDM Vol. 2B OUTS, REP: with 67H ESI and ECX, zero-extended")
{
	uint64_t address = BIT(40) | (uint64_t)buffer, count = BIT(40) | 3;

	need_scratch();
	buffer[2] = 0x8d;
	__asm__ volatile("addr32 rep outsb" : "+c"(count), "+S"(address) : "d"(SCRATCH) : "memory");
	CHECK_EQ(in8(SCRATCH), 0x8d);
	CHECK_EQ(count & 0xffffffff, 0);
	CHECK_EQ(address & 0xffffffff, (uint64_t)buffer + 3);
}

TEST(ins_to_untouched_memory, "SDM Vol. 2A INS: to memory that a hypervisor may have to find first")
{
	need_scratch();
	for (unsigned int n = 0; n < 6; n++) {
		uint64_t at = UINT64_C(0x3000000) + n * 0x201000 - 8, address = at, count = 16;

		string_in(1, true, SCRATCH, &address, &count);
		CHECK_EQ(count, 0);
		CHECK_EQ(load8(at + 15), 0x69);
	}
}

/* ---- Ring 3 and the I/O permission bitmap ---- */

USER_CODE_TEXT(user_in8, 64, "movl %edi, %edx; inb %dx, %al");
USER_CODE_TEXT(user_in16, 64, "movl %edi, %edx; inw %dx, %ax");
USER_CODE_TEXT(user_in32, 64, "movl %edi, %edx; inl %dx, %eax");
USER_CODE_TEXT(user_out8, 64, "movl %edi, %edx; outb %al, %dx");
USER_CODE_TEXT(user_insb, 64, "movl %edi, %edx; movq %rsi, %rdi; insb");

struct permission {
	const char *code;
	uint16_t allowed, denied; /* 2 ports from allowed on, of which denied (if not 0) is not */
	uint16_t port;
	bool ok;
};

static void allow(uint16_t port, bool yes)
{
	uint8_t *byte = &cpu_tss(0)->io_bits[port / 8];

	*byte = (uint8_t)(yes ? *byte & ~(1u << port % 8) : *byte | 1u << port % 8);
}

/* The bitmap is within the TSS, all ones but for the case's ports. */
static void use_bitmap(void)
{
	struct tss *tss = cpu_tss(0);

	tss->io_map = (uint16_t)offsetof(struct tss, io_bits);
	for (unsigned int n = 0; n < sizeof(tss->io_bits); n++)
		tss->io_bits[n] = 0xff;
}

static void permission_case(const struct test_case *self)
{
	const struct permission *row = self->row;
	struct frame frame;
	struct fault got;

	use_bitmap();
	for (unsigned int n = 0; n < 4; n++)
		allow((uint16_t)(row->allowed + n), row->denied != row->allowed + n);
	frame = enter_user(row->code, row->port, (uint64_t)buffer);
	got = (struct fault){ .vector = frame.vector, .code = frame.code };
	check_fault(HERE, "in ring 3", got, row->ok ? RETURN_VECTOR : GP, row->ok ? ANY_CODE : 0);
}

#define PERMISSION(name, code, allowed, denied, port, ok)                                          \
	static const struct permission row_##name = { code, allowed, denied, port, ok };           \
	TEST_ROW(name, permission_case, &row_##name, "SDM Vol. 1 19.5.2: the I/O permission bitmap")
PERMISSION(bitmap_byte, user_in8, 0x80, 0, 0x80, true);
PERMISSION(bitmap_byte_denied, user_in8, 0x80, 0, 0x7f, false);
PERMISSION(bitmap_out, user_out8, 0x80, 0, 0x80, true);
PERMISSION(bitmap_out_denied, user_out8, 0x80, 0x80, 0x80, false);
PERMISSION(bitmap_word, user_in16, 0x80, 0, 0x80, true);
PERMISSION(bitmap_word_second_denied, user_in16, 0x80, 0x81, 0x80, false);
PERMISSION(bitmap_doubleword, user_in32, 0x80, 0, 0x80, true);
PERMISSION(bitmap_doubleword_last_denied, user_in32, 0x80, 0x83, 0x80, false);
PERMISSION(bitmap_across_bytes, user_in32, 0x86, 0, 0x86, true);
PERMISSION(bitmap_across_bytes_denied, user_in32, 0x86, 0x88, 0x86, false);
PERMISSION(bitmap_string, user_insb, 0x80, 0, 0x80, true);
PERMISSION(bitmap_string_denied, user_insb, 0x80, 0x80, 0x80, false);

TEST(bitmap_beyond_limit, "SDM Vol. 1 19.5.2: what is beyond the TSS's limit is denied")
{
	use_bitmap();
	CHECK_EQ(enter_user(user_in8, 0x2100, 0).vector, GP);
	CHECK_EQ(enter_user(user_in8, 0xffff, 0).vector, GP);
}

TEST(bitmap_outside_of_tss, "SDM Vol. 1 19.5.2: no bitmap if its offset is beyond the limit")
{
	use_bitmap();
	allow(0x80, true);
	cpu_tss(0)->io_map = (uint16_t)sizeof(struct tss);
	CHECK_EQ(enter_user(user_in8, 0x80, 0).vector, GP);
}

TEST(iopl_overrides_bitmap, "SDM Vol. 1 19.5.1: with CPL <= IOPL the bitmap does not count")
{
	struct frame frame = { .rip = (uint64_t)user_in8,
		               .cs = USER_CODE,
		               .ss = USER_DATA,
		               .rflags = FLAG_ONE | FLAG_IOPL,
		               .rsp = (uint64_t)user_stack_top,
		               .rdi = 0x80 };

	use_bitmap();
	enter(&frame, USER_DATA);
	CHECK_EQ(frame.vector, RETURN_VECTOR);
}
