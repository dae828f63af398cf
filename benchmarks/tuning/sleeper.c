/* A kernel that takes the same time whatever it is given, and no processor. */
struct timespan { long seconds, nanoseconds; };
int nanosleep(const struct timespan *asked, struct timespan *left);

#define SLEEPER(name)                                                                       \
  int __tvm_ffi_##name(void *self, const void *arguments, int count, void *result) {        \
    struct timespan asked = {0, SLEEP_NS};                                                  \
    return nanosleep(&asked, 0);                                                            \
  }

/* As kernels are called that are built one by one, and in lots. */
SLEEPER(main)
SLEEPER(candidate0)
SLEEPER(candidate1)
SLEEPER(candidate2)
SLEEPER(candidate3)
SLEEPER(candidate4)
SLEEPER(candidate5)
SLEEPER(candidate6)
SLEEPER(candidate7)
