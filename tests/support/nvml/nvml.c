/* A stand-in for NVIDIA's libnvidia-ml.so.1: the few calls that nvidia-ml-py makes for our metrics, and Ray when
 * it starts, with the real signatures and error codes of nvml.h. The environment says what machine it plays:
 *   NVML_GPUS     how many GPUs there are (default 2); "none" fails as a machine without a driver does
 *   NVML_FAILING  call=index pairs, such as "power=0,memory=1,handle=1": that call fails for that GPU
 *   NVML_UTILIZATION  a file with the percentage that all GPUs compute, read anew each time (default 37, 38, ...)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int nvmlReturn_t;
typedef struct { int index; } *nvmlDevice_t;
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
typedef struct { unsigned int gpu, memory; } nvmlUtilization_t;

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, DRIVER_NOT_LOADED = 9,
       GPU_IS_LOST = 15 };

static int started;
static struct { int index; } devices[16];

static int count(void) {
    const char *text = getenv("NVML_GPUS");
    return text ? atoi(text) : 2;
}

static int fails(const char *call, nvmlDevice_t device) {
    char wanted[64];
    const char *failing = getenv("NVML_FAILING");
    snprintf(wanted, sizeof wanted, "%s=%d", call, device->index);
    return failing && strstr(failing, wanted) != NULL;
}

static unsigned int busy(nvmlDevice_t device) {
    unsigned int percent;
    const char *path = getenv("NVML_UTILIZATION");
    FILE *file = path ? fopen(path, "r") : NULL;
    int found = file && fscanf(file, "%u", &percent) == 1;
    if (file) fclose(file);
    return found ? percent : 37 + (unsigned int)device->index;
}

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    const char *gpus = getenv("NVML_GPUS");
    (void)flags;
    if (gpus && !strcmp(gpus, "none")) return DRIVER_NOT_LOADED;
    started++;
    return SUCCESS;
}

nvmlReturn_t nvmlShutdown(void) {
    if (!started) return UNINITIALIZED;
    started--;
    return SUCCESS;
}

const char *nvmlErrorString(nvmlReturn_t result) {
    (void)result;
    return "an error of the stand-in";
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *found) {
    if (!started) return UNINITIALIZED;
    *found = (unsigned int)count();
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    if (!started) return UNINITIALIZED;
    if ((int)index >= count() || index >= 16) return INVALID_ARGUMENT;
    devices[index].index = (int)index;
    *device = (nvmlDevice_t)&devices[index];
    return fails("handle", *device) ? GPU_IS_LOST : SUCCESS;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length) {
    (void)device;
    snprintf(name, length, "Stand-in S1");
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length) {
    snprintf(uuid, length, "GPU-5eed%04d-0000-0000-0000-000000000000", device->index);
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device) {
    char own[96];
    for (unsigned int index = 0; (int)index < count(); index++) {
        if (nvmlDeviceGetHandleByIndex_v2(index, device) != SUCCESS) continue;
        nvmlDeviceGetUUID(*device, own, sizeof own);
        if (!strcmp(own, uuid)) return SUCCESS;
    }
    return NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int *index) {
    *index = (unsigned int)device->index;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization) {
    if (fails("utilization", device)) return NOT_SUPPORTED;
    utilization->gpu = busy(device);
    utilization->memory = 5;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
    if (fails("memory", device)) return NOT_SUPPORTED;
    memory->total = 80ULL << 30;
    memory->used = (3ULL + (unsigned long long)device->index) << 30;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned int *milliwatts) {
    if (fails("limit", device)) return NOT_SUPPORTED;
    *milliwatts = 700000;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *milliwatts) {
    if (fails("power", device)) return NOT_SUPPORTED;
    *milliwatts = 250500;
    return SUCCESS;
}
