// Threads that help if they come in time. Whoever asks works himself and waits for nobody who has not begun, so that a
// busy machine, where a helper may not be woken for many milliseconds, costs a helper and not the time.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace karussell {

class Team {
  public:
    // its threads sleep until the process ends, so it is never destroyed
    static Team& one() {
        static Team* team = new Team;
        return *team;
    }

    // part(next) by the caller and up to members - 1 others at once; each takes next++ until it is `count`
    template <class F> void together(int64_t count, int64_t members, F& part) {
        Job job{&call<F>, &part, members - 1};
        if (members > 1 && count > 1) {
            std::lock_guard<std::mutex> held(lock_);
            for (; threads_ < members - 1; threads_++) {
                try {
                    std::thread([this] { help(); }).detach();
                } catch (...) {
                    break;  // as many as the system gives
                }
            }
            job.after = first_;
            first_ = &job;
            wake_.notify_all();
        }
        part(job.next);
        if (members > 1 && count > 1) {
            std::unique_lock<std::mutex> held(lock_);
            for (Job** at = &first_; *at; at = &(*at)->after)
                if (*at == &job) {
                    *at = job.after;
                    break;
                }
            done_.wait(held, [&] { return job.active == 0; });
        }
    }

  private:
    struct Job {
        void (*run)(void*, std::atomic<int64_t>&);
        void* what;
        int64_t room;  // helpers that may still join
        int64_t active = 0;
        std::atomic<int64_t> next{0};
        Job* after = nullptr;
    };
    template <class F> static void call(void* part, std::atomic<int64_t>& next) { (*static_cast<F*>(part))(next); }

    void help() {
        std::unique_lock<std::mutex> held(lock_);
        for (;;) {
            Job* job = first_;
            while (job && job->room < 1) job = job->after;
            if (!job) {
                wake_.wait(held);
                continue;
            }
            job->room--, job->active++;
            held.unlock();
            job->run(job->what, job->next);
            held.lock();
            if (--job->active == 0) done_.notify_all();
        }
    }

    std::mutex lock_;
    std::condition_variable wake_, done_;
    Job* first_ = nullptr;
    int64_t threads_ = 0;
};

}  // namespace karussell
