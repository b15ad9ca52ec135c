/* A bare loop around ONNX Runtime's C API: ort_loop LIBRARY MODEL THREADS INPUT

   Input and output are bound once (OrtIoBinding); one timed inference is one call of RunWithBinding.

   The wheel brings the library without its header, so functions are taken from the OrtApi table by their index.
   The indices are those of onnxruntime_c_api.h of ONNX Runtime 1.13 (ORT_API_VERSION 13, asked for below; the
   table only ever grows at its end), and were compared with the OrtApi struct of the Rust crate ort-sys (API 28).
   check_table() tries them before anything depends on them. */

#include <string.h>

#include "timed_loop.h"

enum { API_VERSION = 13, FLOAT = 1, LOG_ERRORS = 3, NO_SUCH_FILE = 3, MAX_RANK = 8 };

enum {
    GET_ERROR_CODE = 1,
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_SESSION_LOG_SEVERITY_LEVEL = 22,
    SET_INTRA_OP_NUM_THREADS = 24,
    SET_INTER_OP_NUM_THREADS = 25,
    SESSION_GET_INPUT_COUNT = 30,
    SESSION_GET_OUTPUT_COUNT = 31,
    SESSION_GET_INPUT_TYPE_INFO = 33,
    SESSION_GET_INPUT_NAME = 36,
    SESSION_GET_OUTPUT_NAME = 37,
    CREATE_TENSOR_WITH_DATA = 49,
    GET_TENSOR_MUTABLE_DATA = 51,
    CAST_TYPE_INFO_TO_TENSOR_INFO = 55,
    GET_TENSOR_ELEMENT_TYPE = 60,
    GET_DIMENSIONS_COUNT = 61,
    GET_DIMENSIONS = 62,
    GET_TENSOR_SHAPE_ELEMENT_COUNT = 64,
    GET_TENSOR_TYPE_AND_SHAPE = 65,
    CREATE_CPU_MEMORY_INFO = 69,
    GET_ALLOCATOR_WITH_DEFAULT_OPTIONS = 78,
    RUN_WITH_BINDING = 133,
    CREATE_IO_BINDING = 134,
    BIND_INPUT = 136,
    BIND_OUTPUT = 137,
};

/* Every function used here answers NULL or a status object, but for the two that read one.
   Arguments are unchecked (hence -std=gnu11): sizes are given as size_t, the rest is int or a pointer. */
typedef void *(*Function)();
typedef struct {
    const Function *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
} ApiBase;

static const Function *api;
static void *session, *binding;
static void *(*run_with_binding)(void *, const void *, const void *);

static void check(void *status)
{
    if (status)
        die("onnxruntime", (const char *)api[GET_ERROR_MESSAGE](status));
}

static void infer(void)
{
    void *status = run_with_binding(session, NULL, binding);
    if (__builtin_expect(status != NULL, 0))
        check(status);
}

/* A table with other functions at these places would not refuse a missing file in just this way. */
static void check_table(void *env, void *options)
{
    const char *missing = "/nonexistent/edgebench.onnx";
    void *unused = NULL;
    void *status = api[CREATE_SESSION](env, missing, options, &unused);
    if (!status || (int)(intptr_t)api[GET_ERROR_CODE](status) != NO_SUCH_FILE)
        die("OrtApi", "not the table of functions that is expected");
    if (!strstr((const char *)api[GET_ERROR_MESSAGE](status), missing))
        die("OrtApi", "not the table of functions that is expected");
}

static void *open_session(const char *model, int threads)
{
    void *env, *options;
    check(api[CREATE_ENV](LOG_ERRORS, "edgebench", &env));
    check(api[CREATE_SESSION_OPTIONS](&options));
    check(api[SET_INTRA_OP_NUM_THREADS](options, threads));
    check(api[SET_INTER_OP_NUM_THREADS](options, 1));
    check(api[SET_SESSION_LOG_SEVERITY_LEVEL](options, LOG_ERRORS));
    check_table(env, options);
    void *opened;
    check(api[CREATE_SESSION](env, model, options, &opened));
    size_t inputs = 0, outputs = 0;
    check(api[SESSION_GET_INPUT_COUNT](opened, &inputs));
    check(api[SESSION_GET_OUTPUT_COUNT](opened, &outputs));
    if (inputs != 1 || outputs != 1)
        die(model, "this loop drives models of one input and one output");
    return opened;
}

/* A tensor of the model's input shape (open dimensions are 1) holding the content of `path`. */
static void *input_tensor(const char *path)
{
    void *type, *info, *memory, *tensor;
    int element = 0;
    size_t rank = 0, count = 1;
    int64_t shape[MAX_RANK];
    check(api[SESSION_GET_INPUT_TYPE_INFO](session, (size_t)0, &type));
    check(api[CAST_TYPE_INFO_TO_TENSOR_INFO](type, &info));
    check(api[GET_TENSOR_ELEMENT_TYPE](info, &element));
    check(api[GET_DIMENSIONS_COUNT](info, &rank));
    if (element != FLOAT || rank > MAX_RANK)
        die("input", "this loop feeds one float tensor");
    check(api[GET_DIMENSIONS](info, shape, rank));
    for (size_t i = 0; i < rank; i++) {
        shape[i] = shape[i] > 0 ? shape[i] : 1;
        count *= (size_t)shape[i];
    }
    size_t bytes = count * sizeof(float);
    float *data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    read_input(path, data, bytes);
    check(api[CREATE_CPU_MEMORY_INFO](0 /* device allocator */, 0 /* default memory */, &memory));
    check(api[CREATE_TENSOR_WITH_DATA](memory, data, bytes, shape, rank, FLOAT, &tensor));
    return tensor;
}

/* Bind the input and an output tensor, which one plain run makes; leaves the result of that run in it. */
static void *bind_both(void *input)
{
    void *allocator, *output = NULL;
    char *input_name, *output_name;
    check(api[GET_ALLOCATOR_WITH_DEFAULT_OPTIONS](&allocator));
    check(api[SESSION_GET_INPUT_NAME](session, (size_t)0, allocator, &input_name));
    check(api[SESSION_GET_OUTPUT_NAME](session, (size_t)0, allocator, &output_name));
    check(api[RUN](session, NULL, &input_name, &input, (size_t)1, &output_name, (size_t)1, &output));
    check(api[CREATE_IO_BINDING](session, &binding));
    check(api[BIND_INPUT](binding, input_name, input));
    check(api[BIND_OUTPUT](binding, output_name, output));
    return output;
}

/* Clears the tensor first: what is printed was written by RunWithBinding. */
static void print_ready(const char *version, void *output)
{
    void *info;
    int element = 0;
    size_t count = 0;
    float *data;
    check(api[GET_TENSOR_TYPE_AND_SHAPE](output, &info));
    check(api[GET_TENSOR_ELEMENT_TYPE](info, &element));
    check(api[GET_TENSOR_SHAPE_ELEMENT_COUNT](info, &count));
    if (element != FLOAT)
        die("output", "this loop reads one float tensor");
    check(api[GET_TENSOR_MUTABLE_DATA](output, &data));
    memset(data, 0, count * sizeof *data);
    infer();
    printf("ready %s", version);
    for (size_t i = 0; i < count; i++)
        printf(" %.9g", data[i]);
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        die("usage", "ort_loop LIBRARY MODEL THREADS INPUT");
    const ApiBase *(*get_base)(void) = symbol(open_library(argv[1]), "OrtGetApiBase");
    api = get_base()->get_api(API_VERSION);
    if (!api)
        die("OrtGetApiBase", "this library no longer has API version 13");
    run_with_binding = (void *(*)(void *, const void *, const void *))api[RUN_WITH_BINDING];
    session = open_session(argv[2], atoi(argv[3]));
    print_ready(get_base()->get_version(), bind_both(input_tensor(argv[4])));
    serve(infer);
    return 0;
}
