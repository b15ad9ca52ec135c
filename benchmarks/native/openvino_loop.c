/* A bare loop around OpenVINO's C API: openvino_loop LIBRARY MODEL THREADS INPUT

   One timed inference is one call of ov_infer_request_infer; input and output stay in the request's own tensors.
   Compiled with the options of device_agents/python/runtimes/openvino.py.

   Functions are taken from the wheel's libopenvino_c.so by name: every one answers 0 or a status, and
   ov_get_last_err_msg says what was wrong (openvino/c/ov_core.h, ov_infer_request.h, ov_tensor.h). */

#include "timed_loop.h"

typedef int (*Function)();
typedef struct {
    const char *build_number, *description;
} Version;

static void *library, *request;
static Function run;

static void check(int status, const char *what)
{
    if (status)
        die(what, ((const char *(*)(void))symbol(library, "ov_get_last_err_msg"))());
}

static Function function(const char *name)
{
    return (Function)symbol(library, name);
}

static void infer(void)
{
    int status = run(request);
    if (__builtin_expect(status != 0, 0))
        check(status, "inference");
}

static void tensor(const char *which, float **data, size_t *bytes)
{
    void *found, *where;
    check(function(which)(request, (size_t)0, &found), which);
    check(function("ov_tensor_get_byte_size")(found, bytes), "size of a tensor");
    check(function("ov_tensor_data")(found, &where), "data of a tensor");
    *data = where;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        die("usage", "openvino_loop LIBRARY MODEL THREADS INPUT");
    library = open_library(argv[1]);
    void *core, *compiled;
    Version version;
    check(function("ov_get_openvino_version")(&version), "version");
    check(function("ov_core_create")(&core), "core");
    int (*compile)(const void *, const char *, const char *, size_t, void **, ...) =
        (int (*)(const void *, const char *, const char *, size_t, void **, ...))symbol(
            library, "ov_core_compile_model_from_file");
    check(compile(core, argv[2], "CPU", (size_t)8, &compiled, "INFERENCE_PRECISION_HINT", "f32",
                  "INFERENCE_NUM_THREADS", argv[3], "NUM_STREAMS", "1", "ENABLE_CPU_PINNING", "NO"),
          argv[2]);
    check(function("ov_compiled_model_create_infer_request")(compiled, &request), "request");
    float *data;
    size_t bytes;
    tensor("ov_infer_request_get_input_tensor_by_index", &data, &bytes);
    read_input(argv[4], data, bytes);
    run = function("ov_infer_request_infer");
    infer();
    tensor("ov_infer_request_get_output_tensor_by_index", &data, &bytes);
    printf("ready %s", version.build_number);
    for (size_t i = 0; i < bytes / sizeof *data; i++)
        printf(" %.9g", data[i]);
    printf("\n");
    fflush(stdout);
    serve(infer);
    return 0;
}
