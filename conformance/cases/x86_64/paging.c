/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables in every paging mode: which access faults with which error code, accessed and dirty
 * bits, and what invalidates translations.
 */
#include "guest/print.h"
#include "guest/x86_64/feature.h"

enum access { READ, WRITE, EXECUTE };
enum paging { LONG, PAE, LEGACY };

/* Flags of the entry that maps the page, and of those above. */
#define NONE 0
#define S_RO PTE_P
#define S_RW (PTE_P | PTE_W)
#define U_RO (PTE_P | PTE_U)
#define U_RW (PTE_P | PTE_W | PTE_U)
#define OK   UINT64_MAX

/* What is set up beside the tables. */
#define NO_WP  1u
#define NO_NXE 2u
#define SMEP   4u
#define SMAP   8u
#define AC_SET 16u
#define IS_2M  32u
#define IS_1G  64u

struct row {
	enum paging paging;
	uint64_t leaf, above;
	unsigned int setup;
	enum access access;
	bool user;
	uint64_t code; /* of #PF, without I/D of a fetch; OK: no fault */
};

KERNEL_CODE_TEXT(kernel_read, 64, "movb (%rdi), %al");
KERNEL_CODE_TEXT(kernel_write, 64, "movb %al, (%rdi)");
KERNEL_CODE_TEXT(kernel_execute, 64, "jmp *%rdi");
USER_CODE_TEXT(user_read, 64, "movb (%rdi), %al");
USER_CODE_TEXT(user_write, 64, "movb %al, (%rdi)");
USER_CODE_TEXT(user_execute, 64, "jmp *%rdi");
LOW_CODE_TEXT(low_read, 32, "movb (%edi), %al");
LOW_CODE_TEXT(low_write, 32, "movb %al, (%edi)");
LOW_CODE_TEXT(low_execute, 32, "jmp *%edi");
static uint8_t stack[4096] __attribute__((aligned(16)));

static void put_code(uint8_t *page)
{
	page[0] = 0xcd; /* int $0x80 */
	page[1] = RETURN_VECTOR;
}

/* A fetch is told from a read only where something can forbid it (SDM Vol. 3A 4.7). */
static uint64_t expected_code(const struct row *row)
{
	bool nxe = row->paging != LEGACY && !(row->setup & NO_NXE) && has(F_NX);

	return row->code | (row->access == EXECUTE && (nxe || row->setup & SMEP) ? PF_I : 0);
}

static void judge(const struct row *row, uint64_t vector, uint64_t code, uint64_t address,
                  uint64_t page)
{
	struct fault got = { .vector = vector, .code = code };

	if (row->code == OK) {
		check_fault(HERE, "access", got, RETURN_VECTOR, ANY_CODE);
		return;
	}
	check_fault(HERE, "access", got, PF, expected_code(row));
	CHECK_EQ(address, page);
}

static void need_setup(const struct row *row)
{
	if (row->setup & SMEP)
		need(F_SMEP);
	if (row->setup & SMAP)
		need(F_SMAP);
	if (row->setup & IS_1G)
		need(F_PAGE1GB);
	if ((row->leaf | row->above) & PTE_NX || row->setup & NO_NXE)
		need(F_NX);
}

static unsigned int leaf_level(const struct row *row)
{
	return row->setup & IS_1G ? 3 : row->setup & IS_2M ? 2 : 1;
}

/* Maps a page of memory at FREE_SPACE. Large ones start at 0: the access is at the code's place in
 * them. */
static uint64_t map_long(const struct row *row)
{
	unsigned int level = leaf_level(row);
	uint8_t *page = page_alloc();
	uint64_t at = FREE_SPACE + (level > 1 ? (uint64_t)page & (PAGE_2M - 1) : 0);
	uint64_t base = level == 1   ? (uint64_t)page
	                : level == 2 ? (uint64_t)page & ~(uint64_t)(PAGE_2M - 1)
	                             : 0;

	put_code(page);
	if (level == 3)
		at = FREE_SPACE + (uint64_t)page;
	page_map(at, base | (row->leaf & PTE_NX), row->leaf & ~PTE_NX, level);
	if (!(row->leaf & PTE_P))
		*page_entry(kernel_pml4, 4, at, level) = row->leaf;
	for (unsigned int up = level + 1; up <= 4; up++) {
		uint64_t *entry = page_entry(kernel_pml4, 4, at, up);

		*entry = (*entry & ~U_RW) | row->above;
	}
	flush_all();
	return at;
}

static void run_long(const struct row *row)
{
	static const char *const code[2][3] = { { kernel_read, kernel_write, kernel_execute },
		                                { user_read, user_write, user_execute } };
	uint64_t at = map_long(row);
	struct frame frame = { .rip = (uint64_t)code[row->user][row->access],
		               .cs = row->user ? USER_CODE : KERNEL_CODE,
		               .ss = row->user ? USER_DATA : KERNEL_DATA,
		               .rsp = row->user ? (uint64_t)user_stack_top
		                                : (uint64_t)stack + sizeof(stack),
		               .rflags = FLAG_ONE | (row->setup & AC_SET ? FLAG_AC : 0),
		               .rdi = at };

	if (row->setup & NO_WP)
		write_cr0(read_cr0() & ~CR0_WP);
	if (row->setup & NO_NXE)
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_NXE);
	write_cr4(read_cr4() | (row->setup & SMEP ? CR4_SMEP : 0) |
	          (row->setup & SMAP ? CR4_SMAP : 0));
	enter(&frame, row->user ? USER_DATA : KERNEL_DATA);
	judge(row, frame.vector, frame.code, read_cr2(), at);
}

/* ---- 32-bit code: the first 4 MiB are one to one and for all; the page is at 1 GiB ---- */

#define LOW_PAGE 0x40000000u

static uint32_t pae_tables(const struct row *row, uint8_t *page)
{
	uint64_t *pdpt = page_alloc(), *low = page_alloc(), *directory = page_alloc(),
		 *table = page_alloc();

	for (uint64_t n = 0; n < 2; n++)
		low[n] = n * PAGE_2M | U_RW | PTE_PS;
	pdpt[0] = (uint64_t)low | PTE_P;
	pdpt[1] = (uint64_t)directory | PTE_P;
	if (row->setup & IS_2M) {
		directory[0] = ((uint64_t)page & ~(uint64_t)(PAGE_2M - 1)) | row->leaf | PTE_PS;
	} else {
		directory[0] = (uint64_t)table | row->above;
		table[0] = (uint64_t)page | row->leaf;
	}
	return (uint32_t)(uint64_t)pdpt;
}

static uint32_t legacy_tables(const struct row *row, uint8_t *page)
{
	uint32_t *directory = page_alloc(), *table = page_alloc();

	directory[0] = (uint32_t)(U_RW | PTE_PS);
	if (row->setup & IS_2M) { /* 4 MiB here */
		directory[LOW_PAGE >> 22] =
			(uint32_t)(((uint64_t)page & ~UINT64_C(0x3fffff)) | row->leaf | PTE_PS);
	} else {
		directory[LOW_PAGE >> 22] = (uint32_t)((uint64_t)table | row->above);
		table[0] = (uint32_t)((uint64_t)page | row->leaf);
	}
	return (uint32_t)(uint64_t)directory;
}

static struct mode low_request(const struct row *row, const char *code, uint32_t cr3)
{
	struct mode mode = mode_32(code);

	if (row->user) {
		mode.cs = LOW_USER32;
		mode.ss = mode.ds = LOW_USER_DATA;
	}
	mode.cr0 = (uint32_t)(CR0_PG | CR0_ET | CR0_PE | (row->setup & NO_WP ? 0 : CR0_WP));
	mode.cr3 = cr3;
	mode.cr4 = (uint32_t)(row->paging == PAE ? CR4_PAE : CR4_PSE);
	mode.cr4 |= (uint32_t)(row->setup & SMEP ? CR4_SMEP : 0);
	mode.efer = (uint32_t)(row->paging == PAE && !(row->setup & NO_NXE) && has(F_NX) ? EFER_NXE
	                                                                                 : 0);
	return mode;
}

static void run_low(const struct row *row)
{
	static const char *const code[3] = { low_read, low_write, low_execute };
	uint8_t *page = page_alloc();
	uint32_t cr3 = row->paging == PAE ? pae_tables(row, page) : legacy_tables(row, page);
	struct mode mode = low_request(row, code[row->access], cr3);

	put_code(page);
	mode.edi = LOW_PAGE;
	if (row->setup & IS_2M)
		mode.edi +=
			(uint32_t)((uint64_t)page & (row->paging == PAE ? PAGE_2M - 1 : 0x3fffff));
	mode_call(&mode);
	judge(row, mode.vector, mode.code, mode.cr2, mode.edi);
}

static void row_case(const struct test_case *self)
{
	const struct row *row = self->row;

	need_setup(row);
	if (row->paging == LONG)
		run_long(row);
	else
		run_low(row);
}

#define ROW(paging, prefix, name, leaf, above, setup, access, user, code)                          \
	static const struct row row_##prefix##name = { paging, leaf, above, setup,                 \
		                                       access, user, code };                       \
	TEST_ROW(prefix##name, row_case, &row_##prefix##name,                                      \
	         "SDM Vol. 3A 4.6 (access rights), 4.7 (error codes)");
#define LONG_ROW(...)   ROW(LONG, long_, __VA_ARGS__)
#define PAE_ROW(...)    ROW(PAE, pae_, __VA_ARGS__)
#define LEGACY_ROW(...) ROW(LEGACY, legacy_, __VA_ARGS__)

/* name, page's entry, entries above, setup, access, ring 3, result */
#define EVERYWHERE(X)                                                                              \
	X(kernel_read, S_RO, U_RW, 0, READ, false, OK)                                             \
	X(kernel_write, S_RW, U_RW, 0, WRITE, false, OK)                                           \
	X(kernel_execute, S_RO, U_RW, 0, EXECUTE, false, OK)                                       \
	X(kernel_write_read_only, S_RO, U_RW, 0, WRITE, false, PF_P | PF_W)                        \
	X(kernel_write_read_only_without_wp, S_RO, U_RW, NO_WP, WRITE, false, OK)                  \
	X(kernel_reads_users, U_RO, U_RW, 0, READ, false, OK)                                      \
	X(kernel_writes_users_read_only, U_RO, U_RW, 0, WRITE, false, PF_P | PF_W)                 \
	X(kernel_writes_users_read_only_without_wp, U_RO, U_RW, NO_WP, WRITE, false, OK)           \
	X(kernel_executes_users, U_RO, U_RW, 0, EXECUTE, false, OK)                                \
	X(kernel_write_read_only_above, S_RW, U_RO, 0, WRITE, false, PF_P | PF_W)                  \
	X(kernel_read_absent, NONE, U_RW, 0, READ, false, 0)                                       \
	X(kernel_write_absent, NONE, U_RW, 0, WRITE, false, PF_W)                                  \
	X(kernel_execute_absent, NONE, U_RW, 0, EXECUTE, false, 0)                                 \
	X(user_read, U_RO, U_RW, 0, READ, true, OK)                                                \
	X(user_write, U_RW, U_RW, 0, WRITE, true, OK)                                              \
	X(user_execute, U_RO, U_RW, 0, EXECUTE, true, OK)                                          \
	X(user_write_read_only, U_RO, U_RW, 0, WRITE, true, PF_P | PF_W | PF_U)                    \
	X(user_write_read_only_without_wp, U_RO, U_RW, NO_WP, WRITE, true, PF_P | PF_W | PF_U)     \
	X(user_reads_kernels, S_RW, U_RW, 0, READ, true, PF_P | PF_U)                              \
	X(user_writes_kernels, S_RW, U_RW, 0, WRITE, true, PF_P | PF_W | PF_U)                     \
	X(user_executes_kernels, S_RW, U_RW, 0, EXECUTE, true, PF_P | PF_U)                        \
	X(user_read_kernels_above, U_RW, S_RW, 0, READ, true, PF_P | PF_U)                         \
	X(user_write_read_only_above, U_RW, U_RO, 0, WRITE, true, PF_P | PF_W | PF_U)              \
	X(user_read_absent, NONE, U_RW, 0, READ, true, PF_U)                                       \
	X(user_write_absent, NONE, U_RW, 0, WRITE, true, PF_W | PF_U)                              \
	X(user_execute_absent, NONE, U_RW, 0, EXECUTE, true, PF_U)                                 \
	X(user_read_absent_above, U_RW, NONE, 0, READ, true, PF_U)                                 \
	X(user_write_absent_above, U_RW, NONE, 0, WRITE, true, PF_W | PF_U)                        \
	X(large_user_write, U_RW, U_RW, IS_2M, WRITE, true, OK)                                    \
	X(large_user_write_read_only, U_RO, U_RW, IS_2M, WRITE, true, PF_P | PF_W | PF_U)          \
	X(large_user_reads_kernels, S_RW, U_RW, IS_2M, READ, true, PF_P | PF_U)                    \
	X(large_kernel_write_read_only, S_RO, U_RW, IS_2M, WRITE, false, PF_P | PF_W)              \
	X(large_user_execute, U_RO, U_RW, IS_2M, EXECUTE, true, OK)

#define WITH_NX(X)                                                                                 \
	X(kernel_execute_nx, S_RO | PTE_NX, U_RW, 0, EXECUTE, false, PF_P)                         \
	X(kernel_read_nx, S_RO | PTE_NX, U_RW, 0, READ, false, OK)                                 \
	X(kernel_write_nx, S_RW | PTE_NX, U_RW, 0, WRITE, false, OK)                               \
	X(user_execute_nx, U_RO | PTE_NX, U_RW, 0, EXECUTE, true, PF_P | PF_U)                     \
	X(user_read_nx, U_RO | PTE_NX, U_RW, 0, READ, true, OK)                                    \
	X(user_execute_nx_above, U_RO, U_RW | PTE_NX, 0, EXECUTE, true, PF_P | PF_U)               \
	X(large_user_execute_nx, U_RO | PTE_NX, U_RW, IS_2M, EXECUTE, true, PF_P | PF_U)           \
	X(nx_is_reserved_without_nxe, U_RW | PTE_NX, U_RW, NO_NXE, READ, false, PF_P | PF_RS)      \
	X(user_nx_is_reserved_without_nxe, U_RW | PTE_NX, U_RW, NO_NXE, WRITE, true,               \
	  PF_P | PF_W | PF_U | PF_RS)                                                              \
	X(user_execute_absent_without_nxe, NONE, U_RW, NO_NXE, EXECUTE, true, PF_U)

#define LONG_ONLY(X)                                                                               \
	X(kernel_executes_users_smep, U_RO, U_RW, SMEP, EXECUTE, false, PF_P)                      \
	X(smap_read, U_RW, U_RW, SMAP, READ, false, PF_P)                                          \
	X(smap_write, U_RW, U_RW, SMAP, WRITE, false, PF_P | PF_W)                                 \
	X(smap_read_with_ac, U_RW, U_RW, SMAP | AC_SET, READ, false, OK)                           \
	X(smap_write_with_ac, U_RW, U_RW, SMAP | AC_SET, WRITE, false, OK)                         \
	X(smap_write_without_wp, U_RW, U_RW, SMAP | NO_WP, WRITE, false, PF_P | PF_W)              \
	X(smap_kernels_page, S_RW, U_RW, SMAP, WRITE, false, OK)                                   \
	X(smap_user, U_RW, U_RW, SMAP, WRITE, true, OK)                                            \
	X(smap_execute, U_RW, U_RW, SMAP, EXECUTE, false, OK)                                      \
	X(smep_kernels_page, S_RW, U_RW, SMEP, EXECUTE, false, OK)                                 \
	X(smep_user, U_RW, U_RW, SMEP, EXECUTE, true, OK)                                          \
	X(smep_without_nxe, U_RW, U_RW, SMEP | NO_NXE, EXECUTE, false, PF_P)                       \
	X(giant_user_write, U_RW, U_RW, IS_1G, WRITE, true, OK)                                    \
	X(giant_user_write_read_only, U_RO, U_RW, IS_1G, WRITE, true, PF_P | PF_W | PF_U)          \
	X(giant_user_execute_nx, U_RO | PTE_NX, U_RW, IS_1G, EXECUTE, true, PF_P | PF_U)           \
	X(giant_kernel_read, S_RO, U_RW, IS_1G, READ, false, OK)

EVERYWHERE(LONG_ROW)
WITH_NX(LONG_ROW)
LONG_ONLY(LONG_ROW)
EVERYWHERE(PAE_ROW)
WITH_NX(PAE_ROW)
EVERYWHERE(LEGACY_ROW)

/* ---- Reserved bits ---- */

static void check_reserved(unsigned int level, uint64_t bits)
{
	uint64_t *entry = page_entry(kernel_pml4, 4, FREE_SPACE, level);
	struct fault got;

	*entry |= bits;
	flush_all();
	got = FAULT_OF(load8(FREE_SPACE));
	check_fault(HERE, "load", got, PF, PF_P | PF_RS);
	got = FAULT_OF(store8(FREE_SPACE, 0));
	check_fault(HERE, "store", got, PF, PF_P | PF_RS | PF_W);
	*entry &= ~bits;
	flush_all();
}

TEST(reserved_beyond_physical, "SDM Vol. 3A 4.5: bits 51:MAXPHYADDR are reserved at every level")
{
	if (physical_bits() == 52)
		skip("less than 52 bits of physical address");
	page_map(FREE_SPACE, (uint64_t)page_alloc(), S_RW, 1);
	for (unsigned int level = 1; level <= 4; level++) {
		check_reserved(level, BIT(51));
		check_reserved(level, BIT(physical_bits()));
	}
}

TEST(reserved_ps_of_pml4e, "SDM Vol. 3A 4.5, table 4-15: bit 7 of a PML4E is reserved")
{
	page_map(FREE_SPACE, (uint64_t)page_alloc(), S_RW, 1);
	check_reserved(4, PTE_PS);
}

TEST(reserved_in_2m_page, "SDM Vol. 3A 4.5, table 4-18: bits 20:13 are reserved")
{
	page_map(FREE_SPACE, 0, S_RW, 2);
	check_reserved(2, BIT(13));
	check_reserved(2, BIT(20));
}

TEST(reserved_in_1g_page, "SDM Vol. 3A 4.5, table 4-16: bits 29:13 are reserved")
{
	need(F_PAGE1GB);
	page_map(FREE_SPACE, 0, S_RW, 3);
	check_reserved(3, BIT(13));
	check_reserved(3, BIT(29));
}

TEST(ignored_bits,
     "SDM Vol. 3A 4.5: bits 11:9 and 62:52 of an entry are ignored (62:59 without protection keys)")
{
	uint64_t *entry = page_map(FREE_SPACE, (uint64_t)page_alloc(), S_RW, 1);

	page_set(entry, *entry | BIT(9) | BIT(10) | BIT(11) | BIT(52) | BIT(58) | BIT(62),
	         FREE_SPACE);
	CHECK_NO_FAULT(store8(FREE_SPACE, 1));
}

/* ---- Accessed and dirty ---- */

static uint64_t *map_one(uint64_t flags)
{
	return page_map(FREE_SPACE, (uint64_t)page_alloc(), flags, 1);
}

TEST(read_sets_accessed, "SDM Vol. 3A 4.8")
{
	uint64_t *entry = map_one(S_RW);

	CHECK_EQ(*entry & (PTE_A | PTE_D), 0);
	load8(FREE_SPACE);
	CHECK_EQ(*(volatile uint64_t *)entry & (PTE_A | PTE_D), PTE_A);
}

TEST(write_sets_dirty, "SDM Vol. 3A 4.8")
{
	uint64_t *entry = map_one(S_RW);

	store8(FREE_SPACE, 1);
	CHECK_EQ(*(volatile uint64_t *)entry & (PTE_A | PTE_D), PTE_A | PTE_D);
}

TEST(write_after_read_sets_dirty, "SDM Vol. 3A 4.8: also where the translation is cached")
{
	uint64_t *entry = map_one(S_RW);

	load8(FREE_SPACE);
	store8(FREE_SPACE, 1);
	CHECK_EQ(*(volatile uint64_t *)entry & (PTE_A | PTE_D), PTE_A | PTE_D);
}

TEST(accessed_above, "SDM Vol. 3A 4.8: A of every entry used; D of the last only")
{
	map_one(S_RW);
	store8(FREE_SPACE, 1);
	for (unsigned int level = 2; level <= 4; level++)
		CHECK_EQ(*page_entry(kernel_pml4, 4, FREE_SPACE, level) & PTE_A, PTE_A);
}

TEST(fault_sets_no_dirty, "SDM Vol. 3A 4.8: a write that is refused writes nothing")
{
	uint64_t *entry = map_one(S_RO);

	CHECK_FAULT(PF, PF_P | PF_W, store8(FREE_SPACE, 1));
	CHECK_EQ(*(volatile uint64_t *)entry & PTE_D, 0);
}

TEST(fetch_sets_accessed, "SDM Vol. 3A 4.8")
{
	uint64_t *entry = map_one(S_RW);
	struct frame frame = { .rip = FREE_SPACE,
		               .cs = KERNEL_CODE,
		               .ss = KERNEL_DATA,
		               .rflags = FLAG_ONE,
		               .rsp = (uint64_t)stack + sizeof(stack) };

	put_code((uint8_t *)(*entry & ~UINT64_C(0xfff)));
	enter(&frame, KERNEL_DATA);
	CHECK_EQ(frame.vector, RETURN_VECTOR);
	CHECK_EQ(*(volatile uint64_t *)entry & (PTE_A | PTE_D), PTE_A);
}

TEST(large_page_dirty, "SDM Vol. 3A 4.8: of a 2 MiB page")
{
	uint64_t *entry = page_map(FREE_SPACE, 0x3800000, S_RW, 2);

	load8(FREE_SPACE + 5);
	CHECK_EQ(*(volatile uint64_t *)entry & (PTE_A | PTE_D), PTE_A);
	store8(FREE_SPACE + 5, 1);
	CHECK_EQ(*(volatile uint64_t *)entry & (PTE_A | PTE_D), PTE_A | PTE_D);
}

TEST(cmpxchg_that_fails_is_a_write,
     "SDM Vol. 2A CMPXCHG: the destination gets a write cycle in any case")
{
	uint64_t *entry = map_one(S_RO);
	uint64_t rax = 1;

	fault_expect();
	__asm__ volatile(TRY("lock cmpxchgq %1, (%2)")
	                 : "+a"(rax)
	                 : "r"(UINT64_C(2)), "r"(FREE_SPACE)
	                 : "memory", "cc");
	check_fault(HERE, "cmpxchg", fault_end(), PF, PF_P | PF_W);
	page_set(entry, (*entry | PTE_W) & ~PTE_D, FREE_SPACE);
	__asm__ volatile("lock cmpxchgq %1, (%2)"
	                 : "+a"(rax)
	                 : "r"(UINT64_C(2)), "r"(FREE_SPACE)
	                 : "memory", "cc");
	CHECK_EQ(*(volatile uint64_t *)entry & PTE_D, PTE_D);
}

/* ---- Accesses that cross a page ---- */

static uint8_t *cross_first, *cross_second;

static void map_pair(uint64_t flags, uint64_t second)
{
	cross_first = page_alloc();
	page_alloc();
	cross_second = page_alloc();
	page_map(FREE_SPACE, (uint64_t)cross_first, flags, 1);
	page_map(FREE_SPACE + PAGE, (uint64_t)cross_second, second, 1);
}

TEST(load_across, "SDM Vol. 3A 4.1: each page by its own translation")
{
	map_pair(S_RW, S_RW);
	*(uint32_t *)(cross_first + PAGE - 4) = 0x44332211;
	*(uint32_t *)cross_second = 0x88776655;
	CHECK_EQ(load64(FREE_SPACE + PAGE - 4), UINT64_C(0x8877665544332211));
}

TEST(store_across, "SDM Vol. 3A 4.1: each page by its own translation")
{
	map_pair(S_RW, S_RW);
	store64(FREE_SPACE + PAGE - 3, UINT64_C(0x8877665544332211));
	CHECK_EQ(cross_first[PAGE - 1], 0x33);
	CHECK_EQ(*(uint32_t *)cross_second, 0x77665544);
}

TEST(second_page_absent, "SDM Vol. 3A 4.7: CR2 is the first byte of the page that faults")
{
	struct fault got;

	map_pair(S_RW, NONE);
	got = FAULT_OF(load64(FREE_SPACE + PAGE - 4));
	check_fault(HERE, "load", got, PF, 0);
	CHECK_EQ(got.address, FREE_SPACE + PAGE);
}

TEST(store_to_second_page_refused, "SDM Vol. 3A 4.7: nothing is written")
{
	struct fault got;

	map_pair(S_RW, S_RO);
	got = FAULT_OF(store64(FREE_SPACE + PAGE - 4, UINT64_MAX));
	check_fault(HERE, "store", got, PF, PF_P | PF_W);
	CHECK_EQ(got.address, FREE_SPACE + PAGE);
	CHECK_EQ(*(uint32_t *)(cross_first + PAGE - 4), 0);
}

TEST(first_page_absent, "SDM Vol. 3A 4.7")
{
	struct fault got;

	map_pair(NONE, S_RW);
	got = FAULT_OF(load64(FREE_SPACE + PAGE - 4));
	check_fault(HERE, "load", got, PF, 0);
	CHECK_EQ(got.address, FREE_SPACE + PAGE - 4);
}

TEST(sse_across, "SDM Vol. 2B MOVUPS")
{
	uint64_t low, high;

	map_pair(S_RW, S_RW);
	*(uint64_t *)(cross_first + PAGE - 8) = 0x1111;
	*(uint64_t *)cross_second = 0x2222;
	__asm__ volatile("movups (%2), %%xmm0; movq %%xmm0, %0; psrldq $8, %%xmm0; movq %%xmm0, %1"
	                 : "=r"(low), "=r"(high)
	                 : "r"(FREE_SPACE + PAGE - 8));
	CHECK_EQ(low, 0x1111);
	CHECK_EQ(high, 0x2222);
}

/* ---- Invalidation ---- */

static uint8_t *pages[2];

static uint64_t *two_pages(uint64_t flags)
{
	for (unsigned int n = 0; n < 2; n++) {
		pages[n] = page_alloc();
		pages[n][0] = (uint8_t)(n + 1);
	}
	return page_map(FREE_SPACE, (uint64_t)pages[0], flags, 1);
}

TEST(invlpg_forgets, "SDM Vol. 3A 4.10.4.1")
{
	volatile uint64_t *entry = two_pages(S_RW);

	CHECK_EQ(load8(FREE_SPACE), 1);
	*entry = (uint64_t)pages[1] | S_RW;
	invlpg(FREE_SPACE + 123);
	CHECK_EQ(load8(FREE_SPACE), 2);
	*entry = 0;
	invlpg(FREE_SPACE);
	CHECK_FAULT(PF, 0, load8(FREE_SPACE));
}

TEST(invlpg_forgets_global, "SDM Vol. 3A 4.10.4.1: global translations, too")
{
	volatile uint64_t *entry = two_pages(S_RW | PTE_G);

	write_cr4(read_cr4() | CR4_PGE);
	CHECK_EQ(load8(FREE_SPACE), 1);
	*entry = (uint64_t)pages[1] | S_RW | PTE_G;
	invlpg(FREE_SPACE);
	CHECK_EQ(load8(FREE_SPACE), 2);
}

TEST(invlpg_forgets_large, "SDM Vol. 3A 4.10.4.1: by any address in a large page")
{
	volatile uint64_t *entry = page_map(FREE_SPACE, 0x3800000, S_RW, 2);

	store8(0x3800000 + 0x1234, 0x11);
	store8(0x3a00000 + 0x1234, 0x22);
	CHECK_EQ(load8(FREE_SPACE + 0x1234), 0x11);
	*entry = 0x3a00000 | S_RW | PTE_PS;
	invlpg(FREE_SPACE + 0x1ff000);
	CHECK_EQ(load8(FREE_SPACE + 0x1234), 0x22);
}

TEST(invlpg_not_canonical, "SDM Vol. 2A INVLPG: no operation for an address that is not canonical")
{
	CHECK_NO_FAULT(invlpg(UINT64_C(0x0100000000000000)));
}

TEST(cr3_forgets, "SDM Vol. 3A 4.10.4.1: MOV to CR3")
{
	volatile uint64_t *entry = two_pages(S_RW);

	CHECK_EQ(load8(FREE_SPACE), 1);
	*entry = (uint64_t)pages[1] | S_RW;
	write_cr3(read_cr3());
	CHECK_EQ(load8(FREE_SPACE), 2);
}

TEST(cr4_pge_forgets_global, "SDM Vol. 3A 4.10.4.1: a change of CR4.PGE")
{
	volatile uint64_t *entry = two_pages(S_RW | PTE_G);

	write_cr4(read_cr4() | CR4_PGE);
	CHECK_EQ(load8(FREE_SPACE), 1);
	*entry = (uint64_t)pages[1] | S_RW | PTE_G;
	write_cr4(read_cr4() & ~CR4_PGE);
	CHECK_EQ(load8(FREE_SPACE), 2);
}

TEST(more_rights_need_no_flush,
     "SDM Vol. 3A 4.10.4.3: a fault by a cached entry with less rights must not be seen twice")
{
	volatile uint64_t *entry = two_pages(S_RO);

	load8(FREE_SPACE);
	*entry |= PTE_W;
	/* One spurious fault is allowed; it invalidates. */
	fault_expect();
	store8(FREE_SPACE, 9);
	fault_end();
	CHECK_NO_FAULT(store8(FREE_SPACE, 9));
	CHECK_EQ(pages[0][0], 9);
}

TEST(absent_is_not_cached, "SDM Vol. 3A 4.10.2.3: no translation of an entry whose P is 0")
{
	volatile uint64_t *entry = two_pages(S_RW);

	*entry = 0;
	invlpg(FREE_SPACE);
	CHECK_FAULT(PF, 0, load8(FREE_SPACE));
	*entry = (uint64_t)pages[1] | S_RW;
	CHECK_NO_FAULT(load8(FREE_SPACE));
	CHECK_EQ(load8(FREE_SPACE), 2);
}

TEST(wp_takes_effect, "SDM Vol. 3A 4.10.4.1: a change of CR0.WP counts for the next access")
{
	two_pages(S_RO);
	write_cr0(read_cr0() & ~CR0_WP);
	CHECK_NO_FAULT(store8(FREE_SPACE, 5));
	write_cr0(read_cr0() | CR0_WP);
	CHECK_FAULT(PF, PF_P | PF_W, store8(FREE_SPACE, 6));
	CHECK_EQ(pages[0][0], 5);
}

TEST(smap_takes_effect, "SDM Vol. 3A 4.6: STAC and CLAC count for the next access")
{
	need(F_SMAP);
	two_pages(U_RW);
	write_cr4(read_cr4() | CR4_SMAP);
	CHECK_FAULT(PF, PF_P, load8(FREE_SPACE));
	__asm__ volatile("stac" : : : "memory");
	CHECK_NO_FAULT(load8(FREE_SPACE));
	__asm__ volatile("clac" : : : "memory");
	CHECK_FAULT(PF, PF_P, load8(FREE_SPACE));
}

TEST(smap_covers_implicit_accesses,
     "SDM Vol. 3A 4.6.1: AC does not count for accesses by the processor itself")
{
	struct gate *table;

	need(F_SMAP);
	/* An IDT in a page of ring 3; #PF's gate is in the next page, which is the kernel's. */
	two_pages(U_RW);
	page_map(FREE_SPACE + PAGE, (uint64_t)pages[1], S_RW, 1);
	table = (struct gate *)(FREE_SPACE + PAGE - 5 * 16);
	for (unsigned int n = 0; n < 20; n++)
		table[n] = idt[n];
	lidt((uint64_t)table, 20 * 16 - 1);
	write_cr4(read_cr4() | CR4_SMAP);
	__asm__ volatile("stac" : : : "memory");
	fault_expect();
	__asm__ volatile(TRY("int3") : : : "memory");
	check_fault(HERE, "int3", fault_end(), PF, PF_P);
}

TEST(pcids_are_apart, "SDM Vol. 3A 4.10.1: translations of another PCID are not used")
{
	uint64_t *root = page_alloc();

	need(F_PCID);
	two_pages(S_RW);
	memcpy(root, kernel_pml4, PAGE);
	root[FREE_SPACE >> 39 & 0x1ff] = 0;
	*page_entry(root, 4, FREE_SPACE, 1) = (uint64_t)pages[1] | S_RW;
	write_cr4(read_cr4() | CR4_PCIDE);
	for (unsigned int n = 0; n < 3; n++) {
		write_cr3((uint64_t)kernel_pml4 | 1 | (n ? BIT(63) : 0));
		CHECK_EQ(load8(FREE_SPACE), 1);
		write_cr3((uint64_t)root | 2 | (n ? BIT(63) : 0));
		CHECK_EQ(load8(FREE_SPACE), 2);
	}
}

TEST(invpcid_types, "SDM Vol. 2A INVPCID")
{
	volatile uint64_t *entry;

	need(F_INVPCID);
	entry = two_pages(S_RW);
	for (uint64_t type = 0; type < 4; type++) {
		*entry = (uint64_t)pages[0] | S_RW;
		flush_all();
		CHECK_EQ(load8(FREE_SPACE), 1);
		*entry = (uint64_t)pages[1] | S_RW;
		CHECK_NO_FAULT(invpcid(type, 0, FREE_SPACE));
		CHECK_EQ(load8(FREE_SPACE), 2);
	}
}

TEST(invpcid_refuses,
     "SDM Vol. 2A INVPCID: #GP(0) for a type above 3, reserved bits, a PCID without CR4.PCIDE")
{
	need(F_INVPCID);
	CHECK_FAULT(GP, 0, invpcid(4, 0, 0));
	CHECK_FAULT(GP, 0, invpcid(0, BIT(12), FREE_SPACE));
	CHECK_FAULT(GP, 0, invpcid(0, 1, FREE_SPACE));
	CHECK_FAULT(GP, 0, invpcid(1, 1, 0));
}

TEST(invpcid_not_canonical,
     "SDM Vol. 2A INVPCID: #GP(0) for type 0 and an address that is not canonical")
{
	need(F_INVPCID);
	CHECK_FAULT(GP, 0, invpcid(0, 0, UINT64_C(0x0100000000000000)));
}

/* ---- Protection keys ---- */

static void wrpkru(uint32_t value)
{
	__asm__ volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

TEST(protection_keys, "SDM Vol. 3A 4.6.2: AD and WD of PKRU, for pages of ring 3")
{
	uint64_t *entry;

	need(F_PKU);
	entry = two_pages(U_RW);
	write_cr4(read_cr4() | CR4_PKE);
	page_set(entry, *entry | UINT64_C(5) << 59, FREE_SPACE);
	wrpkru(1u << 10); /* AD of key 5 */
	CHECK_FAULT(PF, PF_P | PF_PK, load8(FREE_SPACE));
	wrpkru(2u << 10); /* WD */
	CHECK_NO_FAULT(load8(FREE_SPACE));
	CHECK_FAULT(PF, PF_P | PF_W | PF_PK, store8(FREE_SPACE, 1));
	wrpkru(0);
	CHECK_NO_FAULT(store8(FREE_SPACE, 1));
}

TEST(protection_keys_off, "SDM Vol. 2B RDPKRU: #UD if CR4.PKE is 0")
{
	need(F_PKU);
	fault_expect();
	__asm__ volatile(TRY("rdpkru") : : "c"(0) : "rax", "rdx");
	check_fault(HERE, "rdpkru", fault_end(), UD, 0);
}

/* ---- Other modes ---- */

TEST(five_levels, "SDM Vol. 3A 4.5: 5-level paging: 57 bits of linear address")
{
	uint64_t *root, *entry, far_address = UINT64_C(0x01000000000000);
	uint8_t *page;
	uint8_t got;

	need(F_LA57);
	root = page_alloc();
	page = page_alloc();
	root[0] = (uint64_t)kernel_pml4 | U_RW;
	page[7] = 0x5e;
	entry = page_entry(root, 5, far_address, 1);
	*entry = (uint64_t)page | S_RW;
	long_mode_again((uint64_t)root, read_cr4() | CR4_LA57);
	got = load8(far_address + 7);
	CHECK_EQ(read_cr4() & CR4_LA57, CR4_LA57);
	long_mode_again((uint64_t)kernel_pml4, read_cr4() & ~CR4_LA57);
	CHECK_EQ(got, 0x5e);
	CHECK_FAULT(GP, 0, load8(far_address + 7));
}

TEST(pae_reserved_pdpte,
     "SDM Vol. 3A 4.4.1: #GP if a present PDPTE has reserved bits when CR3 is loaded")
{
	static const struct row row = { .paging = PAE };
	uint8_t *page = page_alloc();
	uint32_t cr3 = pae_tables(&row, page);
	struct mode mode;
	extern const char low_load_cr3[];
	uint64_t *bad = page_alloc();

	memcpy(bad, (const void *)(uint64_t)cr3, PAGE);
	bad[2] = PTE_P | PTE_W;
	mode = low_request(&row, low_load_cr3, cr3);
	mode.esi = (uint32_t)(uint64_t)bad;
	if (!vendor_is_intel())
		skip("an Intel CPU: AMD's may read PDPTEs when they are used");
	mode_call(&mode);
	CHECK_EQ(mode.vector, GP);
	CHECK_EQ(mode.code, 0);
}
LOW_CODE_TEXT(low_load_cr3, 32, "movl %esi, %cr3");

TEST(pae_pdptes_are_loaded,
     "SDM Vol. 3A 4.4.1: the PDPTEs are read when CR3 is loaded, not at each use")
{
	static const struct row row = { .paging = PAE, .leaf = U_RW, .above = U_RW };
	extern const char low_change_pdpte[];
	uint8_t *page = page_alloc();
	uint32_t cr3 = pae_tables(&row, page);
	struct mode mode = low_request(&row, low_change_pdpte, cr3);

	page[0] = 0x42;
	mode.esi = cr3 + 8;
	mode.edi = LOW_PAGE;
	if (!vendor_is_intel())
		skip("an Intel CPU: AMD's may read PDPTEs when they are used");
	mode_call(&mode);
	CHECK_EQ(mode.vector, RETURN_VECTOR);
	CHECK_EQ(mode.eax & 0xff, 0x42);
}
LOW_CODE_TEXT(low_change_pdpte, 32, "movl $0, (%esi); invlpg (%edi); movb (%edi), %al");

TEST(legacy_without_pse, "SDM Vol. 3A 4.3: PS is ignored while CR4.PSE is 0")
{
	uint32_t *directory = page_alloc(), *table = page_alloc(), *low = page_alloc();
	uint8_t *page = page_alloc();
	struct mode mode = mode_32(low_read);

	for (uint32_t n = 0; n < 1024; n++)
		low[n] = n * PAGE | (uint32_t)U_RW;
	page[0] = 0x37;
	table[0] = (uint32_t)((uint64_t)page | U_RW);
	directory[0] = (uint32_t)((uint64_t)low | U_RW);
	directory[LOW_PAGE >> 22] = (uint32_t)((uint64_t)table | U_RW | PTE_PS);
	mode.cr0 |= (uint32_t)CR0_PG;
	mode.cr3 = (uint32_t)(uint64_t)directory;
	mode.edi = LOW_PAGE;
	mode_call(&mode);
	CHECK_EQ(mode.vector, RETURN_VECTOR);
	CHECK_EQ(mode.eax & 0xff, 0x37);
}

TEST(legacy_dirty, "SDM Vol. 3A 4.8: in 32-bit paging")
{
	static const struct row row = {
		.paging = LEGACY, .leaf = U_RW, .above = U_RW, .access = WRITE
	};
	uint8_t *page = page_alloc();
	uint32_t cr3 = legacy_tables(&row, page);
	struct mode mode = low_request(&row, low_write, cr3);
	const uint32_t *directory = (const uint32_t *)(uint64_t)cr3, *table;

	mode.edi = LOW_PAGE;
	mode_call(&mode);
	CHECK_EQ(mode.vector, RETURN_VECTOR);
	table = (const uint32_t *)(uint64_t)(directory[LOW_PAGE >> 22] & ~UINT32_C(0xfff));
	CHECK_EQ(table[0] & (PTE_A | PTE_D), PTE_A | PTE_D);
	CHECK_EQ(directory[LOW_PAGE >> 22] & PTE_A, PTE_A);
}
