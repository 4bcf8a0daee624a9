/* SPDX-License-Identifier: BSD-2-Clause */
/* libhypercore's VMs, by the core's and the machines'. */
#include <errno.h>
#include <hypercore/hypercore.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/log.h"
#include "core/vm.h"
#include "platform/linux/backends.h"
#include "platform/linux/guest.h"
#include "platform/linux/linux.h"

struct port {
	struct hc_chardev chr;
	hypercore_output output;
	void *arg;
};

struct hypercore {
	struct hc_vm *vm;
	struct port ports[2];
	/* Held by those who make the VM stop or pause: they look at it after it may have ended. */
	pthread_mutex_t control;
	pthread_mutex_t lock; /* of the two */
	pthread_cond_t changed;
	bool ended;
};

void hypercore_config_init(struct hypercore_config *config)
{
	*config = (struct hypercore_config){
		.size = sizeof(*config),
		.name = "guest",
		.backend = "auto",
		.memory = 512 * HC_MIB,
		.cpus = 1,
		.cmdline = "",
	};
}

/* --- Creation --- */

static void port_write(struct hc_chardev *chr, const uint8_t *data, size_t len)
{
	struct port *p = HC_CONTAINER_OF(chr, struct port, chr);

	p->output(p->arg, data, len);
}

static struct hc_chardev *connect_port(struct port *p, hypercore_output output, void *arg)
{
	if (!output)
		return NULL;
	p->chr.write = port_write;
	p->output = output;
	p->arg = arg;
	return &p->chr;
}

static void observe(struct hc_vm *vm, enum hc_vm_state from, enum hc_vm_state to, void *arg)
{
	struct hypercore *h = arg;

	if (to != HC_VM_STOPPED && to != HC_VM_FAILED)
		return;
	pthread_mutex_lock(&h->lock);
	h->ended = true;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

static uint64_t exit_at(const struct linux_guest *guest, const struct hypercore_config *c)
{
	return c->exit_port && guest->exit_at ? guest->exit_at : c->exit_port;
}

static int add_devices(struct machine_devices *devices, const struct hypercore_config *c)
{
	for (unsigned i = 0; i < HC_ARRAY_SIZE(c->devices) && c->devices[i]; i++) {
		const char *wrong = machine_add_device(devices, c->devices[i]);

		if (wrong)
			return hc_error(-EINVAL, "device %s: %s", c->devices[i], wrong);
	}
	return 0;
}

static int create_machine(struct hypercore *h, const struct linux_guest *guest,
                          const struct hypercore_config *c,
                          const struct hc_backend_ops *const *backends)
{
	struct machine_config machine = {
		.name = c->name,
		.cpus = c->cpus,
		.memory = c->memory,
		.kernel = c->kernel,
		.initrd = c->initrd,
		.kernel_size = c->kernel_size,
		.initrd_size = c->initrd_size,
		.cmdline = c->cmdline ? c->cmdline : "",
		.initrd_name = c->initrd_name,
		.serial = { connect_port(&h->ports[0], c->serial[0].output, c->serial[0].arg),
		            connect_port(&h->ports[1], c->serial[1].output, c->serial[1].arg) },
		.exit_at = exit_at(guest, c),
		.other = backends[1],
		.switch_ns = c->switch_ns,
		.tsc_hz = c->tsc_hz,
		.dirty_ns = c->dirty_ns,
	};
	int rc = add_devices(&machine.devices, c);

	if (!rc)
		rc = linux_cpus_start(backends, c->cpus);
	if (rc)
		return rc;
	rc = guest->create(&h->vm, backends[0], &machine);
	if (!rc) {
		rc = hc_vm_observe(h->vm, observe, h);
		if (rc)
			hc_vm_destroy(h->vm);
	}
	if (rc)
		linux_cpus_stop_unused();
	return rc;
}

/* What would otherwise show up only after threads were made. */
static int check_form(const struct hypercore_config *c)
{
	if (c->size != sizeof(*c))
		return hc_error(-EINVAL, "struct hypercore_config was not set up by "
		                         "hypercore_config_init()");
	if (!c->kernel)
		return hc_error(-EINVAL, "no kernel is given");
	return 0;
}

static int check_demands(const struct hypercore_config *c, const struct linux_guest *guest)
{
	if (!c->cpus || c->cpus > guest->max_cpus)
		return hc_error(-ERANGE, "%u virtual CPUs asked for, 1 to %u are supported",
		                c->cpus, guest->max_cpus);
	if (c->switch_ns && (!c->backend || !strchr(c->backend, ',')))
		return hc_error(-EINVAL, "moves between backends want two of them, as in kvm,emu");
	if (c->memory > linux_memory_available())
		return hc_error(-ENOMEM,
		                "%llu MiB of memory asked for, this machine has %llu to spare",
		                (unsigned long long)(c->memory / HC_MIB),
		                (unsigned long long)(linux_memory_available() / HC_MIB));
	return 0;
}

static void init_sync(struct hypercore *h)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&h->control, NULL);
	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->changed, &attr);
	pthread_condattr_destroy(&attr);
}

static void free_handle(struct hypercore *h)
{
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	pthread_mutex_destroy(&h->control);
	free(h);
}

int hypercore_create(struct hypercore **vm, const struct hypercore_config *config)
{
	const struct hc_backend_ops *backends[LINUX_VM_BACKENDS];
	int rc = linux_init();

	if (!rc)
		rc = check_form(config);
	if (rc)
		return rc;
	const struct linux_guest *guest = linux_guest_of(config->kernel, config->kernel_size);

	rc = check_demands(config, guest);
	if (!rc)
		rc = linux_choose_backends(config->backend, guest->isa, backends);
	if (rc)
		return rc;
	struct hypercore *h = calloc(1, sizeof(*h));

	if (!h)
		return hc_error(-ENOMEM, "no memory for a VM");
	init_sync(h);
	linux_vm_lock();
	rc = create_machine(h, guest, config, backends);
	linux_vm_unlock();
	if (rc)
		free_handle(h);
	else
		*vm = h;
	return rc;
}

/* --- Life --- */

static bool is_active(const struct hypercore *h)
{
	enum hc_vm_state s = hc_vm_state(h->vm);

	return s == HC_VM_RUNNING || s == HC_VM_PAUSED;
}

int hypercore_start(struct hypercore *h)
{
	pthread_mutex_lock(&h->control);
	int rc = hc_vm_start(h->vm);

	pthread_mutex_unlock(&h->control);
	return rc;
}

static struct timespec in_ms(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000L;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

int hypercore_wait(struct hypercore *h, int timeout_ms)
{
	struct timespec until = in_ms(timeout_ms < 0 ? 0 : timeout_ms);
	int rc = 0;

	pthread_mutex_lock(&h->lock);
	while (!h->ended && rc != ETIMEDOUT)
		rc = timeout_ms < 0 ? pthread_cond_wait(&h->changed, &h->lock)
		                    : pthread_cond_timedwait(&h->changed, &h->lock, &until);
	rc = h->ended ? 0 : -ETIMEDOUT;
	pthread_mutex_unlock(&h->lock);
	return rc;
}

int hypercore_run(struct hypercore *h)
{
	int rc = hypercore_start(h);

	return rc ? rc : hypercore_wait(h, -1);
}

int hypercore_stop(struct hypercore *h)
{
	pthread_mutex_lock(&h->control);
	int rc = hc_vm_stop(h->vm, HC_STOP_REQUEST, 0);

	pthread_mutex_unlock(&h->control);
	return rc;
}

int hypercore_pause(struct hypercore *h)
{
	pthread_mutex_lock(&h->control);
	int rc = hc_vm_pause(h->vm);

	pthread_mutex_unlock(&h->control);
	return rc;
}

int hypercore_resume(struct hypercore *h)
{
	pthread_mutex_lock(&h->control);
	int rc = hc_vm_resume(h->vm);

	pthread_mutex_unlock(&h->control);
	return rc;
}

int hypercore_move(struct hypercore *h)
{
	pthread_mutex_lock(&h->control);
	int rc = is_active(h) ? hc_vm_move(h->vm) : -EBUSY;

	pthread_mutex_unlock(&h->control);
	return rc;
}

void hypercore_destroy(struct hypercore *h)
{
	if (!h)
		return;
	if (is_active(h)) {
		hypercore_stop(h);
		hypercore_wait(h, -1);
	}
	/* Whoever stopped it is done with it then. */
	pthread_mutex_lock(&h->control);
	linux_vm_lock();
	hc_vm_destroy(h->vm);
	linux_cpus_stop_unused();
	linux_vm_unlock();
	pthread_mutex_unlock(&h->control);
	free_handle(h);
}

size_t hypercore_input(struct hypercore *h, unsigned port, const void *data, size_t size)
{
	if (port >= HC_ARRAY_SIZE(h->ports) || !h->ports[port].output)
		return 0;
	return hc_chardev_feed(&h->ports[port].chr, data, size);
}

/* --- Questions --- */

enum hypercore_end hypercore_end(const struct hypercore *h)
{
	static const enum hypercore_end ends[] = {
		[HC_STOP_NONE] = HYPERCORE_RUNS_STILL, [HC_STOP_POWEROFF] = HYPERCORE_POWERED_OFF,
		[HC_STOP_RESET] = HYPERCORE_RESET,     [HC_STOP_EXIT] = HYPERCORE_EXITED,
		[HC_STOP_REQUEST] = HYPERCORE_STOPPED, [HC_STOP_FAILURE] = HYPERCORE_FAILED,
	};
	enum hc_vm_state s = hc_vm_state(h->vm);

	return s == HC_VM_STOPPED || s == HC_VM_FAILED ? ends[hc_vm_cause(h->vm)]
	                                               : HYPERCORE_RUNS_STILL;
}

unsigned hypercore_status(const struct hypercore *h)
{
	return hc_vm_status(h->vm);
}

const char *hypercore_reason(const struct hypercore *h)
{
	return hc_vm_reason(h->vm);
}

const char *hypercore_backend_of(const struct hypercore *h)
{
	return h->vm->vcpus[0]->backend->name;
}

void hypercore_stats(const struct hypercore *h, struct hypercore_stats *stats, size_t size)
{
	struct hypercore_stats out = { 0 };
	struct hc_vcpu_stats sum;

	hc_vm_stats(h->vm, &sum);
	for (unsigned r = 0; r < HC_EXIT_REASON_COUNT; r++) {
		out.exits += sum.exits[r].count;
		out.exit_cycles += sum.exits[r].cycles;
	}
	out.guest_cycles = sum.guest_cycles;
	out.events = sum.injected;
	out.halts = sum.halts;
	memset(stats, 0, size);
	memcpy(stats, &out, size < sizeof(out) ? size : sizeof(out));
}

void hypercore_log_stats(struct hypercore *h)
{
	hc_vm_log_stats(h->vm);
}

static void trace_vcpu(const struct hc_vcpu *vcpu, void (*line)(void *arg, const char *text),
                       void *arg)
{
	static const char *const kinds[] = { "exit", "inject", "state", "error" };
	const struct hc_trace *t = &vcpu->trace;
	uint64_t have = hc_min(t->written, HC_TRACE_RECORDS);
	char text[160];

	for (uint64_t i = t->written - have; i < t->written; i++) {
		const struct hc_trace_record *r = &t->ring[i % HC_TRACE_RECORDS];
		unsigned kind = HC_TRACE_KIND(r->what) & 3, code = HC_TRACE_CODE(r->what);
		char number[8];

		hc_snprintf(number, sizeof(number), "%u", code);
		hc_snprintf(text, sizeof(text), "%u %llu %s %s %#llx %#llx %#x", vcpu->id,
		            (unsigned long long)r->cycles, kinds[kind],
		            kind == HC_TRACE_EXIT ? hc_exit_reason_name(code) : number,
		            (unsigned long long)r->pc, (unsigned long long)r->arg,
		            HC_TRACE_EXTRA(r->what));
		line(arg, text);
	}
}

void hypercore_trace(const struct hypercore *h, void (*line)(void *arg, const char *text),
                     void *arg)
{
	for (unsigned i = 0; i < h->vm->cpu_count; i++)
		trace_vcpu(h->vm->vcpus[i], line, arg);
}

/* --- The machine --- */

static const struct hc_backend_ops *backend_at(unsigned index)
{
	for (unsigned i = 0; linux_backends[i].ops; i++)
		if (i == index)
			return linux_backends[i].ops;
	return NULL;
}

int hypercore_backend(unsigned index, const char **name, char *how, size_t size)
{
	const struct hc_backend_ops *b = backend_at(index);
	struct hc_backend_info info = { 0 };

	if (!b)
		return -ENOENT;
	*name = b->name;
	int rc = b->probe(&info);

	hc_snprintf(how, size, "%s", info.reason);
	return rc;
}

int64_t hypercore_backend_speed(unsigned index)
{
	const struct hc_backend_ops *b = backend_at(index);
	struct linux_speed speed = { 0 };
	int rc = b ? linux_init() : -ENOENT;

	if (!rc)
		rc = linux_measure(b, &speed);
	return rc ? rc : (int64_t)speed.instructions;
}

void hypercore_set_log(void (*log)(void *arg, const char *text, size_t size), void *arg)
{
	linux_log_to(log, arg);
}

const char *hypercore_last_error(void)
{
	return hc_error_last();
}

const char *hypercore_version(void)
{
	return HC_VERSION;
}
