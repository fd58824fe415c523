// A team of threads for one whole sequence: one parallel region, a barrier that spins for a while and then sleeps.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstdlib>
#ifdef _OPENMP
#include <omp.h>
#include <pthread.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace karussell {

class Barrier {
  public:
    void count(int members) { members_ = members; }
    void wait() {
        if (members_ == 1) return;
        uint32_t phase = phase_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
            arrived_.store(0, std::memory_order_relaxed);
            phase_.fetch_add(1, std::memory_order_release);
            phase_.notify_all();
            return;
        }
        // about 50 microseconds: longer than any step that is shared, shorter than a time slice lost to a busy core
        for (int spin = 0; spin < 2000; spin++) {
            if (phase_.load(std::memory_order_acquire) != phase) return;
#if defined(__x86_64__)
            _mm_pause();
#endif
        }
        while (phase_.load(std::memory_order_acquire) == phase) phase_.wait(phase, std::memory_order_acquire);
    }

  private:
    int members_ = 1;
    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<uint32_t> phase_{0};
};

#ifdef _OPENMP
// the runtime's threads do not survive a fork: a child computes alone
inline std::atomic<bool>& forked() {
    static std::atomic<bool> flag{false};
    static const int once = pthread_atfork(nullptr, nullptr, [] { forked().store(true); });
    (void)once;
    return flag;
}
#endif

// run(member, members, barrier) on every member; the caller is one of them
template <class F> void team(int members, F run) {
    Barrier barrier;
#ifdef _OPENMP
    if (members > 1 && !forked().load() && !omp_in_parallel()) {
#pragma omp parallel num_threads(members)
        {
            // the runtime may give fewer than were asked for
#pragma omp single
            barrier.count(omp_get_num_threads());
            run(omp_get_thread_num(), omp_get_num_threads(), barrier);
        }
        return;
    }
#endif
    run(0, 1, barrier);
}

// memory for one call, aligned for vectors
template <class T> class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(int64_t count) { resize(count); }
    ~Buffer() { std::free(data_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    void resize(int64_t count) {
        std::free(data_);
        int64_t bytes = (count * int64_t(sizeof(T)) + 127) / 64 * 64;
        data_ = static_cast<T*>(std::aligned_alloc(64, bytes));
        if (!data_) std::abort();
    }
    T* get() const { return data_; }

  private:
    T* data_ = nullptr;
};

}  // namespace karussell
