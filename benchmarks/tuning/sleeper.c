/* A kernel that takes the same time whatever it is given, and no processor. */
struct timespan { long seconds, nanoseconds; };
int nanosleep(const struct timespan *asked, struct timespan *left);

int __tvm_ffi_main(void *self, const void *arguments, int count, void *result) {
  struct timespan asked = {0, SLEEP_NS};
  return nanosleep(&asked, 0);
}
