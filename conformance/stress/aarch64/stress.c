/* SPDX-License-Identifier: BSD-2-Clause */
/* What a kernel may do to a processor and to the machine around it. */
#include "stress/common/stress.h"
#include "guest/aarch64/kernel.h"
#include "guest/print.h"

#define IPI   1u
#define OWN   2u
#define SPARE 9u /* an SGI that nobody sends: its priority is anybody's */
#define STEP  UINT64_C(0x200000)

static uint8_t pages[CPUS_MAX][2][PAGE] __attribute__((aligned(4096)));
static uint64_t counted, counts[CPUS_MAX];
static uint64_t hole;

static bool interrupted(struct frame *frame)
{
	struct stress_cpu *cpu = &stress_cpus[this_cpu()];
	uint32_t acked = irq_ack(), intid = acked & 0x3ff;

	if (intid == IPI) {
		cpu->ipis++;
	} else if (intid == machine.timer_virtual) {
		write_sysreg(cntv_ctl_el0, 0);
		cpu->timers++;
	} else if (intid < 1020) {
		cpu->own++;
	}
	if (intid < 1020)
		irq_eoi(acked);
	return true;
}

/* ---- Registers ---- */

/* Any number but the interrupt controller's, of which some are changed by being read. */
static void registers(struct stress_cpu *cpu)
{
	static const uint32_t kept[] = { SYSREG(3, 0, 13, 0, 4), SYSREG(3, 3, 13, 0, 2),
		                         SYSREG(3, 3, 13, 0, 3), SYSREG(3, 0, 6, 0, 0),
		                         SYSREG(3, 0, 4, 0, 1),  SYSREG(3, 3, 14, 2, 2) };
	uint64_t random = stress_next(cpu);
	uint32_t number = kept[random % 6], any = (uint32_t)(random >> 16) & 0x7fff;

	sysreg_write(number, random);
	CHECK_EQ(sysreg_read(number), random);
	any |= 0x4000 << (random >> 8 & 1);
	if ((any >> 7 & 15) != 12)
		FAULT_OF(sysreg_read(any));
	CHECK_FAULT(
		EC_UNKNOWN, 0,
		sysreg_write(SYSREG(3, 0, 0, 1 + (random >> 32) % 7, random >> 40 & 7), random));
	CHECK_FAULT(EC_UNKNOWN, 0, sysreg_read(SYSREG(3, 4, 1, 1, 0))); /* HCR_EL2 */
}

static void identify(struct stress_cpu *cpu)
{
	uint32_t number = SYSREG(3, 0, 0, 1 + stress_next(cpu) % 7, stress_next(cpu) % 8);

	CHECK_EQ(sysreg_read(number), sysreg_read(number));
	CHECK_EQ(read_sysreg(mpidr_el1) & UINT64_C(0xff00ffffff), machine.mpidr[cpu - stress_cpus]);
}

static void control(struct stress_cpu *cpu)
{
	uint64_t random = stress_next(cpu), sctlr = read_sysreg(sctlr_el1);
	uint64_t mine = random & (SCTLR_UCI | SCTLR_UCT | SCTLR_DZE | SCTLR_UMA | SCTLR_NTWE |
	                          SCTLR_NTWI | SCTLR_SA0 | SCTLR_I);
	uint64_t x[8] = { random, 1 };

	write_sysreg(sctlr_el1, sctlr ^ mine);
	CHECK_EQ(read_sysreg(sctlr_el1), sctlr ^ mine);
	write_sysreg(sctlr_el1, sctlr);
	write_sysreg(cntkctl_el1, random & 0x3ff);
	CHECK_EQ(read_sysreg(cntkctl_el1), random & 0x3ff);
	write_sysreg(cntkctl_el1, 0);
	write_sysreg(cpacr_el1, 0);
	CHECK_FAULT(EC_FP, ANY_CODE, execute(0x1e604000, x)); /* FMOV D0, D0 */
	write_sysreg(cpacr_el1, CPACR_FPEN(3));
	if (random >> 60 == 0) { /* ADD X0, X0, X1 without MMU */
		const uint32_t code[] = { 0x8b010000, OPCODE_RET };

		execute_under(sctlr & ~(SCTLR_M | SCTLR_C), code, 2, x);
		CHECK_EQ(x[0], random + 1);
	}
}

static void firmware_calls(struct stress_cpu *cpu)
{
	uint64_t random = stress_next(cpu);
	unsigned int other = (unsigned int)(random >> 8) % cpu_count();

	switch (random & 3) {
	case 0: CHECK(firmware(PSCI_VERSION, 0, 0, 0) >= 2); break;
	case 1: CHECK(firmware(PSCI_AFFINITY_INFO, machine.mpidr[other], 0, 0) >= 0); break;
	case 2: /* of a vendor that there is not */
		CHECK_EQ(firmware(0x8600f000 | (random >> 16 & 0xff), 0, 0, 0), -1);
		break;
	default:
		CHECK_EQ((int32_t)firmware(PSCI_CPU_ON,
		                           read_sysreg(mpidr_el1) & UINT64_C(0xff00ffffff),
		                           (uint64_t)secondary_start, 0),
		         PSCI_ALREADY_ON);
	}
}

/* ---- Devices and addresses ---- */

static void devices(struct stress_cpu *cpu)
{
	static const uint32_t loads[] = { 0xb9400020 /* LDR W0, [X1] */,
		                          0xb8404420 /* LDR W0, [X1], #4 */,
		                          0x29400820 /* LDP W0, W2, [X1] */,
		                          0xbd400020 /* LDR S0, [X1] */,
		                          0x88dffc20 /* LDAR W0, [X1] */ };
	uint64_t random = stress_next(cpu), x[8] = { 0, machine.gicd + GICD_TYPER };
	uint8_t priority = (uint8_t)(random >> 8 & 0xf0);
	struct fault fault;

	switch (random & 3) {
	case 0:
		irq_priority(SPARE, priority);
		CHECK_EQ(load8(gic_bank(SPARE) + GICD_IPRIORITYR + SPARE), priority);
		break;
	case 1: execute(loads[(random >> 16) % 5], x); break;
	case 2: load32(machine.uart + 0x18); break;
	default: /* nothing is there */
		if (!hole)
			return;
		fault = random & 4 ? FAULT_OF(load32(hole + (random >> 16 & 0xffffc)))
		                   : FAULT_OF(store32(hole + (random >> 16 & 0xffffc), 1));
		CHECK(fault.vector == FAULT_NONE || fault.vector == EC_DABORT);
	}
}

static void paging(struct stress_cpu *cpu)
{
	uint64_t random = stress_next(cpu), at = cpu->space + (random >> 8 & 0xff8);
	bool present = random & 1, writable = random & 2;
	struct fault got;

	page_set(cpu->space, 3,
	         present ? cpu->page | PTE_NORMAL | PTE_TABLE | (writable ? 0 : PTE_RO) : 0);
	got = FAULT_OF(store64(at, random));
	if (present && writable) {
		CHECK_EQ(got.vector, FAULT_NONE);
		CHECK_EQ(load64(at), random);
		CHECK_EQ(load64(cpu->page + (at & 0xfff)), random);
	} else {
		check_fault(HERE, "store", got, EC_DABORT,
		            ISS_WNR | 3 | (present ? FSC_PERMISSION : FSC_TRANSLATION));
		CHECK_EQ(got.address, at);
	}
}

static void exceptions(struct stress_cpu *cpu)
{
	uint64_t random = stress_next(cpu), x[8] = { 0, cpu->page + 13 };
	uint32_t comment = random >> 8 & 0xffff;

	CHECK_FAULT(EC_BRK, comment, execute(0xd4200000 | comment << 5, x));
	CHECK_FAULT(EC_SVC, comment, execute(0xd4000001 | comment << 5, x));
	CHECK_FAULT(EC_UNKNOWN, 0, execute(comment, x)); /* UDF */
	CHECK_FAULT(EC_DABORT, FSC_TRANSLATION, load64(BIT(60) | random >> 8));
	CHECK_FAULT(EC_DABORT, FSC_ALIGNMENT, execute(0xc85f7c20, x)); /* LDXR X0, [X1] */
}

static void user(struct stress_cpu *cpu)
{
	uint64_t random = stress_next(cpu), x[8] = { random, 3 };
	struct frame frame = execute_el0(0x8b010000, x); /* ADD X0, X0, X1 */

	CHECK_EQ(EC_OF(frame), EC_SVC);
	CHECK_EQ(x[0], random + 3);
	frame = execute_el0(0xd5381000, x); /* MRS X0, SCTLR_EL1 */
	CHECK_EQ(EC_OF(frame), EC_UNKNOWN);
	x[1] = cpu->page;
	frame = execute_el0(0xf9000020, x); /* STR X0, [X1] */
	CHECK_EQ(EC_OF(frame), EC_DABORT_LOWER);
	CHECK_EQ(frame.far, cpu->page);
}

/* ---- Interrupts ---- */

void stress_let_in(void)
{
	for (unsigned int n = 0; n < 20; n++) {
		unmask_irq();
		mask_irq();
	}
}

/* Its own by an SGI, or by an SPI of its own. */
static void interrupts(struct stress_cpu *cpu)
{
	uint64_t random = stress_next(cpu);
	unsigned int n = (unsigned int)(cpu - stress_cpus);

	if (random & 1) {
		sgi_send(IPI, stress_other(cpu));
		stress_let_in();
		return;
	}
	cpu->own_sent++;
	if (random & 2 && n < 8)
		irq_set(GICD_ISPENDR, spare_spi(n));
	else
		sgi_send(OWN, n);
	unmask_irq();
	CHECK(WAIT_FOR(cpu->own == cpu->own_sent));
	mask_irq();
}

static void sleep(struct stress_cpu *cpu)
{
	cpu->timers_sent++;
	write_sysreg(cntv_tval_el0, 1000 + (stress_next(cpu) & 0xffff));
	write_sysreg(cntv_ctl_el0, 1);
	while (cpu->timers != cpu->timers_sent) { /* an IPI may wake it, too */
		wfi();
		stress_let_in();
	}
}

/* ---- Code, vectors, memory ---- */

static void own_code(struct stress_cpu *cpu)
{
	uint32_t value = (uint32_t)stress_next(cpu) & 0xffff;
	uint64_t at = (uint64_t)cpu->code + (stress_next(cpu) & 0xff8);

	store32(at, 0xd2800000 | value << 5); /* MOV X0, #value */
	store32(at + 4, OPCODE_RET);
	clean_code((const void *)at, 8);
	CHECK_EQ(((uint64_t(*)(void))at)(), value);
}

static void vectors(struct stress_cpu *cpu)
{
	static struct vectors set[CPUS_MAX], got[CPUS_MAX];
	struct vectors *in = &set[cpu - stress_cpus], *out = &got[cpu - stress_cpus];

	for (unsigned int n = 0; n < 32; n++) {
		in->v[n][0] = stress_next(cpu);
		in->v[n][1] = ~in->v[n][0];
	}
	in->fpcr = (stress_next(cpu) & 3) << 22;
	in->fpsr = stress_next(cpu) & 0x1f;
	vectors_load(in);
	load32(machine.uart + 0x18);
	firmware(PSCI_VERSION, 0, 0, 0);
	if (stress_next(cpu) & 1)
		sleep(cpu); /* others may have the CPU meanwhile */
	stress_let_in();
	vectors_store(out);
	CHECK(memcmp(in, out, sizeof(*in)) == 0);
}

static void caches(struct stress_cpu *cpu)
{
	uint64_t random = stress_next(cpu), at = cpu->page + (random & 0xff8);

	store64(at, random);
	flush_data((const void *)at, 8);
	CHECK_EQ(load64(at), random);
	if (!(read_sysreg(dczid_el0) & BIT(4))) {
		op1("dc zva", at);
		CHECK_EQ(load64(at), 0);
	}
	op("ic iallu\n\tdsb nsh\n\tisb");
}

static void count(struct stress_cpu *cpu)
{
	uint64_t value, failed;

	__asm__ volatile("1:\tldxr %0, [%2]\n"
	                 "\tadd %0, %0, #1\n"
	                 "\tstxr %w1, %0, [%2]\n"
	                 "\tcbnz %w1, 1b"
	                 : "=&r"(value), "=&r"(failed)
	                 : "r"(&counted)
	                 : "memory");
	counts[cpu - stress_cpus]++;
}

static void remember(struct stress_cpu *cpu)
{
	stress_memory(cpu);
	stress_clock(cpu);
	count(cpu);
}

void (*const stress_acts[STRESS_ACTS])(struct stress_cpu *) = {
	registers,  identify, control,  firmware_calls, devices, paging,   exceptions, user,
	interrupts, sleep,    own_code, vectors,        caches,  remember, interrupts, paging
};

/* ---- What the common part asks for ---- */

void stress_prepare(struct stress_cpu *cpu, unsigned int n)
{
	cpu->space = WINDOW + n * STEP;
	cpu->page = (uint64_t)pages[n][0];
	cpu->code = pages[n][1];
	counts[n] = 0;
	page_entry(cpu->space, 3);
	page_set((uint64_t)cpu->code, 3, (uint64_t)cpu->code | PTE_NORMAL | PTE_TABLE | PTE_UXN);
	irq_edge(spare_spi(n % 8), true);
	irq_route(spare_spi(n % 8), n);
	irq_enable(spare_spi(n % 8));
}

void stress_begin(void)
{
	counted = 0;
	hole = hole_address();
	handle(KIND_IRQ, interrupted);
}

void stress_enter(void)
{
	irq_enable(IPI);
	irq_enable(OWN);
	irq_enable(machine.timer_virtual);
}

void stress_copy(void *to, const void *from, uint64_t bytes)
{
	memcpy(to, from, bytes);
}

void stress_check(void)
{
	uint64_t sum = 0;

	for (unsigned int n = 0; n < cpu_count(); n++)
		sum += counts[n];
	CHECK_EQ(counted, sum);
}
