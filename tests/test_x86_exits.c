/* SPDX-License-Identifier: BSD-2-Clause */
/* Every exit reason through its handler, and events through injection, on the scripted backend. */
#include <string.h>

#include "arch/x86_64/x86.h"
#include "tests/platform.h"
#include "tests/unit.h"
#include "tests/x86_guest.h"

/* --- Simple ones --- */

static void test_skips(void **state)
{
	static const enum hc_exit_reason reasons[] = { HC_EXIT_CPUID, HC_EXIT_CACHE,
		                                       HC_EXIT_HYPERCALL };
	struct hc_vcpu *vcpu = guest(1);

	for (unsigned i = 0; i < HC_ARRAY_SIZE(reasons); i++) {
		const struct hc_exit e = exit_of(reasons[i]);

		x86_state_of(vcpu)->rip = 0x10000;
		x86_state_of(vcpu)->rflags |= X86_FLAG_RF;
		set_gpr(vcpu, X86_RAX, 0x12345678);
		assert_int_equal(script_exit(vcpu, &e), HC_ACT_RESUME);
		assert_int_equal(x86_env_state(vcpu)->rip, 0x10002);
		assert_int_equal(x86_env_state(vcpu)->rflags & X86_FLAG_RF, 0);
		if (reasons[i] == HC_EXIT_HYPERCALL)
			assert_int_equal(x86_env_state(vcpu)->gpr[X86_RAX], -(int64_t)ENOSYS);
	}
	hc_vm_destroy(vcpu->vm);
}

/* A single step over an emulated instruction traps after it. */
static void test_single_step(void **state)
{
	struct hc_vcpu *vcpu = guest(1);
	const struct hc_exit e = exit_of(HC_EXIT_CPUID);

	x86_state_of(vcpu)->rflags |= X86_FLAG_TF;
	hc_vcpu_dirty(vcpu, X86_G_CORE);
	script_exit(vcpu, &e);
	assert_int_equal(injected(vcpu).vector, X86_VEC_DB);
	assert_int_equal(x86_env_state(vcpu)->dr6 >> 14 & 1, 1);
	hc_vm_destroy(vcpu->vm);
}

static void test_msr_exits(void **state)
{
	struct hc_vcpu *vcpu = guest(1);
	const struct hc_exit rd = exit_of(HC_EXIT_MSR_READ), wr = exit_of(HC_EXIT_MSR_WRITE);

	set_gpr(vcpu, X86_RCX, 0xffffffff00000277); /* only ECX counts: PAT */
	set_gpr(vcpu, X86_RAX, UINT64_MAX);
	set_gpr(vcpu, X86_RDX, UINT64_MAX);
	script_exit(vcpu, &rd);
	assert_int_equal(x86_state_of(vcpu)->gpr[X86_RAX], 0x00070406);
	assert_int_equal(x86_state_of(vcpu)->gpr[X86_RDX], 0x00070406);
	set_gpr(vcpu, X86_RAX, 0xaaaaaaaa00000606);
	set_gpr(vcpu, X86_RDX, 0xbbbbbbbb00000001);
	script_exit(vcpu, &wr);
	assert_int_equal(x86_env_state(vcpu)->msr_pat, 0x0000000100000606);
	/* A type that does not exist. */
	set_gpr(vcpu, X86_RAX, 2);
	script_exit(vcpu, &wr);
	struct x86_event e = injected(vcpu);

	assert_true(e.type == X86_EVENT_EXCEPTION && e.vector == X86_VEC_GP && e.has_error_code);
	hc_vm_destroy(vcpu->vm);
}

static void test_xsetbv(void **state)
{
	static const struct {
		uint64_t rcx, value;
		uint8_t cpl;
		bool ok;
	} rows[] = { { 0, 1, 0, true },  { 0, 3, 0, true },  { 0, 7, 0, true },
		     { 0, 0, 0, false }, { 0, 5, 0, false }, { 0, 0xf, 0, false },
		     { 1, 1, 0, false }, { 0, 7, 3, false }, { 0, 0xe7, 0, false } };

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		struct hc_vcpu *vcpu = guest(1);
		const struct hc_exit e = exit_of(HC_EXIT_XSETBV);

		x86_state_of(vcpu)->cpl = rows[i].cpl;
		set_gpr(vcpu, X86_RCX, rows[i].rcx);
		set_gpr(vcpu, X86_RAX, rows[i].value);
		set_gpr(vcpu, X86_RDX, 0);
		script_exit(vcpu, &e);
		assert_int_equal(x86_env_state(vcpu)->xcr0, rows[i].ok ? rows[i].value : 1);
		assert_int_equal(injected(vcpu).valid, !rows[i].ok);
		hc_vm_destroy(vcpu->vm);
	}
}

static void test_control_registers(void **state)
{
	static const struct {
		uint8_t number;
		uint64_t value;
		uint8_t vector; /* 0: allowed */
	} rows[] = {
		{ 8, 15, 0 },
		{ 8, 16, X86_VEC_GP },
		{ 3, 0x5000, 0 },
		{ 3, HC_BIT(50), X86_VEC_GP },
		{ 4, X86_CR4_PAE | X86_CR4_SMEP, 0 },
		{ 4, 0, X86_VEC_GP },                        /* PAE in long mode */
		{ 4, X86_CR4_PAE | HC_BIT(13), X86_VEC_GP }, /* VMXE */
		{ 4, X86_CR4_PAE | X86_CR4_LA57, X86_VEC_GP },
		{ 0, X86_CR0_PE | X86_CR0_PG | X86_CR0_NE, 0 },
		{ 0, X86_CR0_PG, X86_VEC_GP },
		{ 0, X86_CR0_PE | X86_CR0_PG | X86_CR0_NW, X86_VEC_GP },
		{ 0, HC_BIT(40), X86_VEC_GP },
		{ 0, X86_CR0_PE, X86_VEC_GP }, /* out of paging from 64-bit code */
		{ 5, 0, X86_VEC_UD },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		struct hc_vcpu *vcpu = guest(1);
		struct hc_exit e = exit_of(HC_EXIT_CR_WRITE);

		e.u.cr.number = rows[i].number;
		e.u.cr.value = rows[i].value;
		script_exit(vcpu, &e);
		const struct x86_event got = injected(vcpu);

		assert_int_equal(got.vector, rows[i].vector);
		assert_int_equal(x86_env_state(vcpu)->rip, rows[i].vector ? 0x10000 : 0x10002);
		hc_vm_destroy(vcpu->vm);
	}
}

/* SDM Vol. 3A 4.4.1: what loads the PDPTEs, and what does not. */
static void test_pdptes(void **state)
{
	const uint64_t cr0 = X86_CR0_PE | X86_CR0_PG, cr4 = X86_CR4_PAE;
	const struct {
		uint8_t number, loads;
		uint64_t value;
	} rows[] = {
		{ 3, 1, 0x5020 },
		{ 3, 1, 0x5030 }, /* bits 4:0 are none of the address */
		{ 4, 1, cr4 | X86_CR4_PGE },
		{ 4, 1, cr4 | X86_CR4_SMEP },
		{ 4, 1, cr4 | X86_CR4_PSE },
		{ 4, 0, 0 },
		{ 4, 0, cr4 | X86_CR4_OSFXSR },
		{ 0, 1, cr0 | X86_CR0_CD },
		{ 0, 1, cr0 | X86_CR0_CD | X86_CR0_NW },
		{ 0, 0, cr0 | X86_CR0_TS | X86_CR0_WP },
		{ 0, 0, X86_CR0_PE },
	};
	static const uint64_t bad[] = { 2,          4,          0x40,       0x80,      0x100,
		                        HC_BIT(40), HC_BIT(51), HC_BIT(52), HC_BIT(63) };

	for (unsigned i = 0; i < 2 * HC_ARRAY_SIZE(rows); i++) {
		bool is_bad = i % 2;
		struct hc_vcpu *vcpu = guest(1);
		struct x86_state *s = x86_state_of(vcpu);
		struct hc_exit e = exit_of(HC_EXIT_CR_WRITE);
		uint64_t table[4] = { 0x7019, 0x8001, 0x9fe6, 0xa001 }, before[4] = { 0xb001 };

		if (is_bad)
			table[3] |= bad[i / 2 % HC_ARRAY_SIZE(bad)];
		memcpy(hc_mem_ptr(vcpu->vm, gpa_of(0x5020), 32, true), table, 32);
		s->cr0 = cr0;
		s->cr3 = 0x5020;
		s->cr4 = cr4;
		s->efer = 0;
		s->seg[X86_CS].attr &= (uint16_t)~X86_ATTR_L;
		s->pdptes_loaded = 1;
		memcpy(s->pdpte, before, sizeof(before));
		e.u.cr.number = rows[i / 2].number;
		e.u.cr.value = rows[i / 2].value;
		script_exit(vcpu, &e);
		assert_int_equal(injected(vcpu).vector,
		                 rows[i / 2].loads && is_bad ? X86_VEC_GP : 0);
		s = x86_env_state(vcpu);
		assert_int_equal(s->pdptes_loaded, 1);
		assert_memory_equal(s->pdpte, rows[i / 2].loads && !is_bad ? table : before, 32);
		hc_vm_destroy(vcpu->vm);
	}
}

/* --- Ends --- */

static void test_ends(void **state)
{
	static const struct {
		enum hc_exit_reason reason;
		enum hc_stop_cause cause;
		const char *word;
	} rows[] = {
		{ HC_EXIT_SHUTDOWN, HC_STOP_RESET, "" },
		{ HC_EXIT_TASK_SWITCH, HC_STOP_FAILURE, "task switch" },
		{ HC_EXIT_ENTRY_FAILED, HC_STOP_FAILURE, "scripted code 7" },
		{ HC_EXIT_UNKNOWN, HC_STOP_FAILURE, "scripted code 7" },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		struct hc_vcpu *vcpu = guest(1);
		struct script_step step = { .exit = exit_of(rows[i].reason) };

		step.exit.u.raw.code = 7;
		script_set(vcpu, &step, 1);
		assert_int_equal(hc_vm_start(vcpu->vm), 0);
		test_run_until_idle();
		assert_int_equal(hc_vm_cause(vcpu->vm), rows[i].cause);
		assert_non_null(strstr(hc_vm_reason(vcpu->vm), rows[i].word));
		hc_vm_destroy(vcpu->vm);
	}
}

/* --- Exceptions (SDM Vol. 3A table 6-5) --- */

static void test_double_faults(void **state)
{
	static const struct {
		uint8_t first, second, result; /* result 0: reset */
	} rows[] = {
		{ X86_VEC_GP, X86_VEC_GP, X86_VEC_DF }, { X86_VEC_PF, X86_VEC_PF, X86_VEC_DF },
		{ X86_VEC_PF, X86_VEC_GP, X86_VEC_DF }, { X86_VEC_GP, X86_VEC_PF, X86_VEC_PF },
		{ X86_VEC_UD, X86_VEC_GP, X86_VEC_GP }, { X86_VEC_GP, X86_VEC_UD, X86_VEC_UD },
		{ X86_VEC_DF, X86_VEC_GP, 0 },          { X86_VEC_DF, X86_VEC_PF, 0 },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		struct hc_vcpu *vcpu = guest(1);
		struct hc_exit e = exit_of(HC_EXIT_EXCEPTION);

		assert_int_equal(hc_vm_start(vcpu->vm), 0);
		e.u.exception.vector = rows[i].second;
		e.u.exception.has_error_code = rows[i].second != X86_VEC_UD;
		e.u.exception.address = 0xabc000;
		x86_env_state(vcpu);
		/* The first was being delivered when the exit came. */
		atomic_store(&vcpu->requests, 0);
		struct hc_exit none = exit_of(HC_EXIT_WINDOW);

		script_exit(vcpu, &none);
		x86_script_of(vcpu)->hw.events.reinject =
			(struct x86_event){ 1, X86_EVENT_EXCEPTION, rows[i].first, 0, 0 };
		vcpu->vm->arch->handlers[HC_EXIT_EXCEPTION](vcpu, &e);
		if (rows[i].result) {
			assert_int_equal(injected(vcpu).vector, rows[i].result);
			if (rows[i].second == X86_VEC_PF)
				assert_int_equal(x86_env_state(vcpu)->cr2, 0xabc000);
			hc_vm_stop(vcpu->vm, HC_STOP_REQUEST, 0);
		}
		test_run_until_idle();
		assert_int_equal(hc_vm_cause(vcpu->vm),
		                 rows[i].result ? HC_STOP_REQUEST : HC_STOP_RESET);
		hc_vm_destroy(vcpu->vm);
	}
}

static void test_exception_first(void **state)
{
	static const struct x86_event rows[] = {
		{ 1, X86_EVENT_INTR, 0x41, 0, 0 },
		{ 1, X86_EVENT_NMI, X86_VEC_NMI, 0, 0 },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		struct hc_vcpu *vcpu = guest(1);
		struct x86_script *s = x86_script_of(vcpu);
		struct hc_exit e = exit_of(HC_EXIT_EXCEPTION), none = exit_of(HC_EXIT_WINDOW);

		x86_env_state(vcpu)->rflags |= X86_FLAG_IF;
		hc_vcpu_dirty(vcpu, X86_G_CORE);
		script_exit(vcpu, &none);
		s->hw.events.reinject = rows[i];
		s->hw.events.nmi_masked = rows[i].type == X86_EVENT_NMI;
		e.u.exception.vector = X86_VEC_GP;
		vcpu->vm->arch->handlers[HC_EXIT_EXCEPTION](vcpu, &e);
		assert_int_equal(injected(vcpu).vector, X86_VEC_GP);
		assert_int_equal(s->event_count, 1);
		script_exit(vcpu, &none);
		struct x86_event second = injected(vcpu);

		assert_int_equal(s->event_count, 2);
		assert_true(second.type == rows[i].type && second.vector == rows[i].vector);
		script_exit(vcpu, &none);
		injected(vcpu);
		assert_int_equal(s->event_count, 2);
		hc_vm_destroy(vcpu->vm);
	}
}

/* --- MMIO --- */

static uint64_t reg_value;
static unsigned reg_writes, reg_reads;

static uint64_t reg_read(void *dev, uint64_t offset, unsigned size)
{
	reg_reads++;
	return reg_value;
}

static void reg_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	reg_writes++;
	reg_value = value;
}

static struct hc_exit mmio_exit(uint64_t gpa, bool write)
{
	struct hc_exit e = { .reason = HC_EXIT_STAGE2 };

	e.u.stage2.gpa = gpa_of(gpa);
	e.u.stage2.access = write ? HC_ACCESS_WRITE : HC_ACCESS_READ;
	return e;
}

static void add_registers(struct hc_vm *vm)
{
	static const struct hc_region_ops ops = { reg_read, reg_write, 0 };
	const struct hc_region r = { "registers", 0xd0000000, 4096, &ops, NULL };

	assert_int_equal(hc_bus_add(vm, HC_SPACE_MEMORY, &r), 0);
	reg_writes = reg_reads = 0;
}

/* Each move once on the fast way and once on the software CPU's, at the end of a page; the same. */
static void test_moves(void **state)
{
	static const struct {
		const char *code;
		uint8_t len;
		bool write;
		uint64_t loaded; /* RAX or R9 after a load */
	} rows[] = {
		{ "\x8b\x03", 2, false, 0xcafebabe },               /* mov eax, [rbx] */
		{ "\x89\x03", 2, true, 0 },                         /* mov [rbx], eax */
		{ "\x44\x8b\x4b\x10", 4, false, 0xcafebabe },       /* mov r9d, [rbx+16] */
		{ "\x44\x89\x8b\x00\x01\x00\x00", 7, true, 0 },     /* mov [rbx+256], r9d */
		{ "\xc7\x44\x23\x08\x78\x56\x34\x12", 8, true, 0 }, /* mov dword [rbx+8], imm */
		{ "\x48\x8b\x03", 3, false, UINT64_C(0x12345678cafebabe) }, /* mov rax, [rbx] */
		{ "\x0f\xb6\x03", 3, false, 0xbe },         /* movzx eax, byte [rbx] */
		{ "\x81\x0b\x01\x00\x00\x80", 6, true, 0 }, /* or dword [rbx], imm */
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		struct x86_state results[2];

		for (unsigned slow = 0; slow < 2; slow++) {
			struct hc_vcpu *vcpu = guest(1);
			struct x86_state *s = x86_state_of(vcpu);
			uint64_t at = slow ? 0x11000 - rows[i].len : 0x10000;
			struct hc_exit e = mmio_exit(0xd0000000, rows[i].write);

			add_registers(vcpu->vm);
			reg_value = UINT64_C(0x12345678cafebabe);
			assert_int_equal(
				hc_mem_write(vcpu->vm, gpa_of(at), rows[i].code, rows[i].len), 0);
			s->rip = at;
			set_gpr(vcpu, X86_RBX, 0xd0000000);
			set_gpr(vcpu, X86_RSP, 0);
			set_gpr(vcpu, X86_R9, 0x9999888877776666);
			set_gpr(vcpu, X86_RAX, 0x5555444433332222);
			assert_int_equal(script_exit(vcpu, &e), HC_ACT_RESUME);
			assert_int_equal(s->rip, at + rows[i].len);
			assert_int_equal(reg_writes, rows[i].write);
			if (!rows[i].write)
				assert_int_equal(s->gpr[i == 2 ? X86_R9 : X86_RAX], rows[i].loaded);
			results[slow] = *s;
			results[slow].xsave[0] = 0;
			results[slow].gpr[X86_RCX] = reg_value;
			hc_vm_destroy(vcpu->vm);
		}
		assert_memory_equal(results[0].gpr, results[1].gpr, sizeof(results[0].gpr));
	}
}

/* The exit was for a device, but what is there now accesses RAM under a lock: only the CPU can. */
static void test_locked(void **state)
{
	static const struct {
		const char *code;
		unsigned len;
	} rows[] = { { "\xf0\x01\x03", 3 }, { "\x87\x03", 2 }, { "\xf0\x0f\xc7\x0b", 4 } };
	struct hc_vcpu *vcpu = guest(1);
	const struct hc_exit e = mmio_exit(0xd0000000, true);
	uint64_t *ram = hc_mem_ptr(vcpu->vm, gpa_of(0x20000), 8, true);

	add_registers(vcpu->vm);
	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		put_code(vcpu, rows[i].code, rows[i].len);
		*ram = 0x1111;
		x86_env_state(vcpu)->rip = 0x10000;
		set_gpr(vcpu, X86_RAX, 0x2222);
		set_gpr(vcpu, X86_RBX, 0x20000);
		script_exit(vcpu, &e);
		assert_int_equal(x86_env_state(vcpu)->rip, 0x10000);
		assert_int_equal(x86_env_state(vcpu)->gpr[X86_RAX], 0x2222);
		assert_int_equal(*ram, 0x1111);
		set_gpr(vcpu, X86_RBX, 0xd0000000);
		script_exit(vcpu, &e);
		assert_int_equal(x86_env_state(vcpu)->rip, 0x10000 + rows[i].len);
		assert_int_equal(reg_writes, i + 1);
	}
	hc_vm_destroy(vcpu->vm);
}

static void test_apic_page(void **state)
{
	struct hc_vcpu *vcpu = guest(1);
	struct x86_state *s = x86_state_of(vcpu);
	struct hc_exit rd = mmio_exit(0xfee00030, false), wr = mmio_exit(0xfee00080, true);

	put_code(vcpu, "\x8b\x03\x89\x03", 4);
	script_exit(vcpu, &rd);
	assert_int_equal(s->gpr[X86_RAX], 0x01050014);
	set_gpr(vcpu, X86_RAX, 0x50);
	script_exit(vcpu, &wr);
	assert_int_equal(x86_apic_cr8(vcpu), 5);
	/* Switched off, the page is bus like any other. */
	assert_int_equal(x86_apic_write_base(vcpu, 0xfee00100), 0);
	s->rip = 0x10000;
	hc_vcpu_dirty(vcpu, X86_G_CORE);
	script_exit(vcpu, &rd);
	assert_int_equal(s->gpr[X86_RAX], 0xffffffff);
	hc_vm_destroy(vcpu->vm);
}

/* --- Accesses that the backend decoded --- */

#define BYTES 64

/* A device that is memory, and says so when an access is not aligned. */
static uint8_t device_bytes[BYTES];

static uint64_t bytes_read(void *dev, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	assert_int_equal(offset % size, 0);
	memcpy(&value, device_bytes + offset, size);
	return value;
}

static void bytes_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	assert_int_equal(offset % size, 0);
	memcpy(device_bytes + offset, &value, size);
}

static int bus_access(struct hc_vcpu *vcpu, enum hc_space space, uint64_t address, unsigned width,
                      bool write, uint64_t *value)
{
	const struct hc_exit e = { .reason = HC_EXIT_BUS,
		                   .u.bus = { address, value, NULL, (uint8_t)space, (uint8_t)width,
		                              write } };

	return script_exit(vcpu, &e);
}

/* Against an array; RIP does not move. */
static void test_bus(void **state)
{
	static const struct hc_region_ops ops = { bytes_read, bytes_write, 0 };
	const struct hc_region r = { "bytes", 0xd0001000, BYTES, &ops, NULL };
	const struct hc_region ports = { "bytes", 0x500, BYTES, &ops, NULL };
	struct hc_vcpu *vcpu = guest(1);
	uint8_t expected[BYTES] = { 0 };
	uint64_t seed = 8088, value = 0;

	assert_int_equal(hc_bus_add(vcpu->vm, HC_SPACE_MEMORY, &r), 0);
	assert_int_equal(hc_bus_add(vcpu->vm, HC_SPACE_IO, &ports), 0);
	memset(device_bytes, 0, sizeof(device_bytes));
	for (unsigned i = 0; i < test_rounds(2000); i++) {
		bool is_port = test_below(&seed, 2), write = test_below(&seed, 2);
		unsigned width =
			is_port ? 1u << test_below(&seed, 3) : 1 + (unsigned)test_below(&seed, 8);
		uint64_t at = test_below(&seed, BYTES - 8);

		at -= is_port ? at % width : 0;
		value = test_random(&seed);
		if (write)
			memcpy(expected + at, &value, width);
		assert_int_equal(bus_access(vcpu, is_port ? HC_SPACE_IO : HC_SPACE_MEMORY,
		                            (is_port ? ports.base : r.base) + at, width, write,
		                            &value),
		                 HC_ACT_RESUME);
		assert_memory_equal(&value, expected + at, width);
	}
	assert_memory_equal(device_bytes, expected, BYTES);
	bus_access(vcpu, HC_SPACE_MEMORY, X86_APIC_BASE + APIC_VERSION, 4, false, &value);
	assert_int_equal(value, APIC_VERSION_VALUE);
	assert_int_equal(bus_access(vcpu, HC_SPACE_IO, 0x500, 3, false, &value), -EINVAL);
	assert_int_equal(bus_access(vcpu, HC_SPACE_IO, 0x500, 8, false, &value), -EINVAL);
	assert_int_equal(bus_access(vcpu, HC_SPACE_MEMORY, 0x500, 0, false, &value), -EINVAL);
	assert_int_equal(bus_access(vcpu, HC_SPACE_MEMORY, 0x500, 9, true, &value), -EINVAL);
	assert_int_equal(bus_access(vcpu, HC_SPACE_COUNT, 0x500, 4, true, &value), -EINVAL);
	assert_int_equal(x86_state_of(vcpu)->rip, 0x10000);
	hc_vm_destroy(vcpu->vm);
}

static void run_one(struct hc_vcpu *vcpu, const struct hc_exit *e)
{
	const struct script_step step = { .exit = *e };

	script_set(vcpu, &step, 1);
	assert_int_equal(hc_vm_start(vcpu->vm), 0);
	test_run_until_idle();
}

static void test_bad_accesses(void **state)
{
	static const struct {
		uint8_t access;
		const char *code, *word;
	} rows[] = {
		{ HC_ACCESS_EXEC, "\x90\x90\x90", "code at 0xd0000000, where there is no memory" },
		{ HC_ACCESS_READ, "\x0f\x58\x03", "not emulated" }, /* addps xmm0, [rbx] */
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		struct hc_vcpu *vcpu = guest(1);
		struct hc_exit e = mmio_exit(0xd0000000, false);

		put_code(vcpu, rows[i].code, 3);
		e.u.stage2.access = rows[i].access;
		run_one(vcpu, &e);
		assert_int_equal(hc_vm_cause(vcpu->vm), HC_STOP_FAILURE);
		if (!strstr(hc_vm_reason(vcpu->vm), rows[i].word))
			fail_msg("%s", hc_vm_reason(vcpu->vm));
		hc_vm_destroy(vcpu->vm);
	}
}

/* Page tables where there is nothing have all bits set: the guest is told so. */
static void test_tables_outside(void **state)
{
	static const struct {
		uint64_t rip, rbx;
		uint32_t code;
	} rows[] = {
		{ 0x10000, 0x800000, X86_PF_P | X86_PF_RSVD }, /* mov eax, [rbx] */
		{ 0x10002, 0x800000, X86_PF_P | X86_PF_RSVD | X86_PF_W },
		{ 0x800000, 0, X86_PF_P | X86_PF_RSVD }, /* the code's own page; no NX */
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		struct hc_vcpu *vcpu = guest(1);
		struct hc_exit e = mmio_exit(0xd0000000, false);
		uint64_t *ram = hc_mem_ptr(vcpu->vm, gpa_of(0), MEMORY, true);

		put_code(vcpu, "\x8b\x03\x89\x03", 4);
		ram[0x4000 / 8 + 4] = 0xd0000007; /* of 8 MiB */
		x86_state_of(vcpu)->rip = rows[i].rip;
		set_gpr(vcpu, X86_RBX, rows[i].rbx);
		e.u.stage2.access = HC_ACCESS_READ;
		e.u.stage2.in_walk = true;
		assert_int_equal(script_exit(vcpu, &e), HC_ACT_RESUME);
		const struct x86_event got = injected(vcpu);

		assert_int_equal(got.vector, X86_VEC_PF);
		assert_int_equal(got.error_code, rows[i].code);
		assert_int_equal(x86_env_state(vcpu)->rip, rows[i].rip);
		assert_int_equal(x86_env_state(vcpu)->cr2, 0x800000);
		hc_vm_destroy(vcpu->vm);
	}
}

/* --- Halts and interrupts through the run loop --- */

static void enable_apic(struct hc_vcpu *vcpu, void *hw)
{
	x86_apic_mmio_write(vcpu, APIC_SVR, 0x1ff);
}

static void set_if(struct hc_vcpu *vcpu, void *hw)
{
	x86_script_of(vcpu)->hw.rflags |= X86_FLAG_IF;
}

static void clear_if(struct hc_vcpu *vcpu, void *hw)
{
	x86_script_of(vcpu)->hw.rflags &= ~(uint64_t)X86_FLAG_IF;
}

static void self_ipi(struct hc_vcpu *vcpu, void *hw)
{
	x86_apic_mmio_write(vcpu, APIC_ICR, 0x40041);
}

static void set_if_and_self_ipi(struct hc_vcpu *vcpu, void *hw)
{
	set_if(vcpu, hw);
	self_ipi(vcpu, hw);
}

/* An interrupt that comes while IF is clear waits for a window, and then goes in. */
static void test_window(void **state)
{
	struct hc_vcpu *vcpu = guest(1);
	const struct script_step steps[] = {
		{ .exit = exit_of(HC_EXIT_CPUID), .guest = enable_apic },
		{ .exit = exit_of(HC_EXIT_CPUID), .guest = self_ipi },
		{ .exit = exit_of(HC_EXIT_CPUID), .guest = clear_if },
		{ .exit = exit_of(HC_EXIT_CPUID), .guest = set_if },
		{ .exit = exit_of(HC_EXIT_CPUID), .guest = NULL },
	};
	struct x86_script *s = x86_script_of(vcpu);

	script_set(vcpu, steps, HC_ARRAY_SIZE(steps));
	assert_int_equal(hc_vm_start(vcpu->vm), 0);
	test_run_until_idle();
	assert_int_equal(s->event_count, 1);
	assert_int_equal(s->events[0].vector, 0x41);
	assert_int_equal(s->windows, 1);
	assert_int_equal(vcpu->stats.exits[HC_EXIT_WINDOW].count, 1);
	assert_int_equal(x86_apic_mmio_read(vcpu, APIC_ISR + 0x20), 2);
	hc_vm_stop(vcpu->vm, HC_STOP_REQUEST, 0);
	test_run_until_idle();
	hc_vm_destroy(vcpu->vm);
}

static void toggle_undelivered(struct hc_vcpu *vcpu, void *hw)
{
	x86_script_of(vcpu)->hw.events.reinject.valid ^= 1;
}

/* Nor does an interrupt that the backend holds and has not delivered yet let it sleep. */
static void test_halt_before_delivery(void **state)
{
	struct hc_vcpu *vcpu = guest(1);
	const struct script_step steps[] = {
		{ .exit = exit_of(HC_EXIT_HALT), .guest = toggle_undelivered },
		{ .exit = exit_of(HC_EXIT_HALT), .guest = toggle_undelivered },
	};

	script_set(vcpu, steps, HC_ARRAY_SIZE(steps));
	assert_int_equal(hc_vm_start(vcpu->vm), 0);
	test_run_until_idle();
	assert_int_equal(script_of(vcpu)->at, 2);
	assert_int_equal(vcpu->stats.halts, 1);
	hc_vm_stop(vcpu->vm, HC_STOP_REQUEST, 0);
	test_run_until_idle();
	hc_vm_destroy(vcpu->vm);
}

/* sti; hlt with the interrupt already there does not sleep; cli; hlt sleeps for good. */
static void test_halt(void **state)
{
	struct hc_vcpu *vcpu = guest(1);
	const struct script_step steps[] = {
		{ .exit = exit_of(HC_EXIT_CPUID), .guest = enable_apic },
		{ .exit = exit_of(HC_EXIT_HALT), .guest = set_if_and_self_ipi },
		{ .exit = exit_of(HC_EXIT_CPUID), .guest = self_ipi },
		{ .exit = exit_of(HC_EXIT_HALT), .guest = clear_if },
	};
	struct x86_script *s = x86_script_of(vcpu);

	script_set(vcpu, steps, HC_ARRAY_SIZE(steps));
	assert_int_equal(hc_vm_start(vcpu->vm), 0);
	test_run_until_idle();
	assert_int_equal(s->script.at, 4);
	assert_int_equal(s->event_count, 1);
	assert_int_equal(vcpu->stats.halts, 1);
	assert_int_equal(atomic_load(&x86_vcpu_of(vcpu)->mp_state), X86_MP_HALTED);
	assert_false(x86_arch_ops.has_event(vcpu));
	/* An NMI ends it all the same. */
	x86_arch_ops.deliver_msi(vcpu->vm, 0xfee00000, 0x400);
	assert_true(x86_arch_ops.has_event(vcpu));
	test_run_until_idle();
	assert_int_equal(s->event_count, 2);
	assert_int_equal(s->events[1].type, X86_EVENT_NMI);
	hc_vm_stop(vcpu->vm, HC_STOP_REQUEST, 0);
	test_run_until_idle();
	hc_vm_destroy(vcpu->vm);
}

/* --- 8259 --- */

static unsigned acks;

static int acknowledge(void *dev)
{
	acks++;
	hc_irq_set_extint(dev, false);
	return 0x28;
}

static void test_extint(void **state)
{
	struct hc_vcpu *vcpu = guest(1);
	struct hc_vm *vm = vcpu->vm;
	struct x86_script *s = x86_script_of(vcpu);

	acks = 0;
	hc_irq_set_extint_source(vm, acknowledge, vm);
	hc_irq_set_extint(vm, true);
	/* LINT0 is masked after reset: it does not get through. */
	assert_int_equal(injected(vcpu).valid, 0);
	x86_apic_virtual_wire(vcpu);
	/* IF is clear: it is not acknowledged before it can be taken. */
	assert_int_equal(injected(vcpu).valid, 0);
	assert_int_equal(acks, 0);
	assert_true(s->window);
	x86_env_state(vcpu)->rflags |= X86_FLAG_IF;
	hc_vcpu_dirty(vcpu, X86_G_CORE);
	/* Both may come: the local APIC's waits for the next window. */
	x86_apic_accept(vcpu, 0x31, false);
	s->window = false;
	assert_int_equal(injected(vcpu).vector, 0x28);
	assert_int_equal(acks, 1);
	assert_true(s->window);
	hc_vm_destroy(vm);
}

/* --- INIT and start-up --- */

static void start_cpu_1(struct hc_vcpu *vcpu, void *hw)
{
	x86_apic_mmio_write(vcpu, APIC_ICR_HIGH, 1u << 24);
	x86_apic_mmio_write(vcpu, APIC_ICR, 0x4500);
	x86_apic_mmio_write(vcpu, APIC_ICR, 0x4699);
	x86_apic_mmio_write(vcpu, APIC_ICR, 0x4677);
}

static uint64_t started_rip, started_base;

static void note_start(struct hc_vcpu *vcpu, void *hw)
{
	const struct x86_state *s = hw;

	started_rip = s->rip;
	started_base = s->seg[X86_CS].base;
}

static void test_start_up(void **state)
{
	struct hc_vcpu *vcpu = guest(2), *other = vcpu->vm->vcpus[1];
	const struct script_step steps[] = { { .exit = exit_of(HC_EXIT_CPUID),
		                               .guest = start_cpu_1 } };
	const struct script_step others[] = { { .exit = exit_of(HC_EXIT_CPUID),
		                                .guest = note_start } };

	script_set(vcpu, steps, 1);
	script_set(other, others, 1);
	assert_int_equal(hc_vm_start(vcpu->vm), 0);
	test_run_until_idle();
	assert_int_equal(started_rip, 0);
	assert_int_equal(started_base, 0x99000);
	assert_int_equal(script_of(other)->at, 1);
	/* INIT to the boot CPU, without firmware to go to: a reset. */
	x86_apic_mmio_write(other, APIC_ICR_HIGH, 0);
	x86_apic_mmio_write(other, APIC_ICR, 0x4500);
	test_run_until_idle();
	assert_int_equal(hc_vm_cause(vcpu->vm), HC_STOP_RESET);
	hc_vm_destroy(vcpu->vm);
}

/* --- Instruction lengths --- */

static void test_lengths(void **state)
{
	static const struct {
		const char *code;
		uint8_t len;
	} rows[] = {
		{ "\x0f\xa2", 2 },     { "\x0f\x32", 2 },         { "\x0f\x30", 2 },
		{ "\xf4", 1 },         { "\x0f\x01\xd9", 3 },     { "\xf3\x0f\xa2", 3 },
		{ "\x0f\x22\xd8", 3 }, { "\x48\x0f\x01\x38", 4 }, { "\x0f\x01\xd1", 3 },
	};

	for (unsigned i = 0; i < HC_ARRAY_SIZE(rows); i++) {
		struct hc_vcpu *vcpu = guest(1);

		put_code(vcpu, rows[i].code, rows[i].len);
		assert_int_equal(x86_insn_length(vcpu), rows[i].len);
		/* The last bytes of the last mapped page. */
		uint64_t *ram = hc_mem_ptr(vcpu->vm, gpa_of(0), TABLES, true);

		ram[0x4000 / 8 + 4] = 0;
		x86_state_of(vcpu)->rip = 0x800000 - rows[i].len;
		assert_int_equal(hc_mem_write(vcpu->vm, gpa_of(0x800000 - rows[i].len),
		                              rows[i].code, rows[i].len),
		                 0);
		assert_int_equal(x86_insn_length(vcpu), rows[i].len);
		x86_state_of(vcpu)->rip = 0x800000;
		assert_true(x86_insn_length(vcpu) < 0);
		hc_vm_destroy(vcpu->vm);
	}
}

/* --- Anything at all: no exit, however wrong, ends in anything but a fault or a stopped VM --- */

static void test_random_exits(void **state)
{
	uint64_t seed = 8086;

	for (unsigned n = 0; n < test_rounds(100); n++) {
		struct hc_vcpu *vcpu = guest(2);
		struct hc_vm *vm = vcpu->vm;
		uint8_t *ram = hc_mem_ptr(vm, gpa_of(0), MEMORY, true);

		add_registers(vm);
		assert_int_equal(hc_vm_start(vm), 0);
		for (unsigned i = 0; i < 300 && hc_vm_cause(vm) == HC_STOP_NONE; i++) {
			struct hc_exit e;

			for (unsigned j = 0; j < sizeof(e); j++)
				((uint8_t *)&e)[j] = (uint8_t)test_random(&seed);
			do
				e.reason = (enum hc_exit_reason)test_below(&seed,
				                                           HC_EXIT_REASON_COUNT);
			while (!x86_arch_ops.handlers[e.reason]);
			/* What a backend would not say. */
			if (e.reason == HC_EXIT_IO) {
				e.u.io.width = (uint8_t)(1u << test_below(&seed, 3));
				e.u.io.addr_size = (uint8_t)(2u << test_below(&seed, 3));
				e.u.io.segment = (uint8_t)test_below(&seed, X86_GS + 1);
			}
			if (e.reason == HC_EXIT_EXCEPTION)
				e.u.exception.vector &= 31;
			uint64_t value = test_random(&seed);

			if (e.reason == HC_EXIT_BUS) {
				e.u.bus.value = &value;
				e.u.bus.width &= 15;
				e.u.bus.space &= 3;
			}
			if (e.reason == HC_EXIT_STAGE2) {
				e.u.stage2.gpa.v =
					test_below(&seed, 2)
						? 0xd0000000 | (test_random(&seed) & 0xfff)
						: test_random(&seed);
				e.u.stage2.access = (uint8_t)(1u << test_below(&seed, 3));
				e.u.stage2.insn_len = (uint8_t)test_below(&seed, 16);
			}
			for (unsigned j = 0; j < X86_GPR_COUNT; j++)
				set_gpr(vcpu, (enum x86_gpr)j,
				        test_random(&seed) >> test_below(&seed, 64));
			for (unsigned j = 0; j < 16; j++)
				ram[0x10000 + j] = (uint8_t)test_random(&seed);
			x86_state_of(vcpu)->rip = 0x10000;
			(void)script_exit(vcpu, &e);
		}
		hc_vm_stop(vm, HC_STOP_REQUEST, 0);
		test_run_until_idle();
		assert_int_equal(hc_vm_destroy(vm), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_skips),
		cmocka_unit_test(test_single_step),
		cmocka_unit_test(test_msr_exits),
		cmocka_unit_test(test_xsetbv),
		cmocka_unit_test(test_control_registers),
		cmocka_unit_test(test_pdptes),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_double_faults),
		cmocka_unit_test(test_exception_first),
		cmocka_unit_test(test_locked),
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_apic_page),
		cmocka_unit_test(test_bus),
		cmocka_unit_test(test_bad_accesses),
		cmocka_unit_test(test_tables_outside),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_halt),
		cmocka_unit_test(test_halt_before_delivery),
		cmocka_unit_test(test_extint),
		cmocka_unit_test(test_start_up),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_random_exits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
