// Scratch files without a name, and the errors of everything that makes a model.
#pragma once
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

namespace karussell {

// what is wrong, in words; `code` is errno where the system said so, else 0
struct NgramError : std::runtime_error {
    int code;
    explicit NgramError(const std::string& what, int code = 0) : std::runtime_error(what), code(code) {}
};

// a file that is gone when it is closed, or when the process ends
class NgramScratch {
  public:
    explicit NgramScratch(const std::string& folder) : folder_(folder) {}
    ~NgramScratch() {
        if (file_ >= 0) ::close(file_);
    }
    NgramScratch(const NgramScratch&) = delete;
    NgramScratch& operator=(const NgramScratch&) = delete;

    uint64_t bytes() const { return bytes_; }

    void append(const void* data, uint64_t bytes) {
        if (file_ < 0) open();
        const char* from = static_cast<const char*>(data);
        while (bytes) {
            ssize_t done = ::pwrite(file_, from, bytes < GULP ? bytes : GULP, off_t(bytes_));
            if (done < 0 && errno == EINTR) continue;
            if (done <= 0) fail(done < 0 ? errno : ENOSPC);
            from += done, bytes_ += uint64_t(done), bytes -= uint64_t(done);
        }
    }

    void read(void* data, uint64_t bytes, uint64_t at) const {
        char* to = static_cast<char*>(data);
        while (bytes) {
            ssize_t done = ::pread(file_, to, bytes < GULP ? bytes : GULP, off_t(at));
            if (done < 0 && errno == EINTR) continue;
            if (done <= 0) fail(done < 0 ? errno : EIO);
            to += done, at += uint64_t(done), bytes -= uint64_t(done);
        }
    }

  private:
    static constexpr uint64_t GULP = 1 << 30;

    void open() {
        std::string name = folder_ + "/karussell-ngram-XXXXXX";
        file_ = ::mkstemp(name.data());
        if (file_ < 0) fail(errno);
        ::unlink(name.c_str());
    }
    [[noreturn]] void fail(int code) const { throw NgramError(std::strerror(code), code); }

    std::string folder_;
    int file_ = -1;
    uint64_t bytes_ = 0;
};

// An n-gram on its way: two numbers, then its words, zeros to an even width so that the numbers stay aligned.
struct NgramRecord {
    static constexpr int NUMBERS = 4;  // uint32 that the two numbers take
    static int width(int order) { return NUMBERS + (order + 1) / 2 * 2; }
    static uint32_t* words(uint32_t* record) { return record + NUMBERS; }
    static const uint32_t* words(const uint32_t* record) { return record + NUMBERS; }
    template <class T> static T get(const uint32_t* record, int which) {
        static_assert(sizeof(T) == 8);
        T value;
        std::memcpy(&value, record + 2 * which, sizeof value);
        return value;
    }
    template <class T> static void set(uint32_t* record, int which, T value) {
        static_assert(sizeof(T) == 8);
        std::memcpy(record + 2 * which, &value, sizeof value);
    }
};

// records written one after the other, then read in the same order, as often as wanted, in a few hundred kilobytes of memory
class NgramSpool {
  public:
    NgramSpool(const std::string& folder, int order)
        : width_(NgramRecord::width(order)), room_(BLOCK / width_ * width_), file_(folder) {}

    void add(const uint32_t* record) {
        if (!block_) block_.reset(new uint32_t[room_]);
        std::memcpy(block_.get() + used_, record, 4 * width_);
        used_ += width_;
        total_ += width_;
        if (used_ == room_) flush();
    }

    // to the first record; nothing may be added any more
    void rewind() {
        if (!written_) {
            written_ = true;
            if (!block_) block_.reset(new uint32_t[room_]);
            if (file_.bytes() && used_) flush();
            held_ = file_.bytes() ? 0 : used_;
        }
        filled_ = done_ = held_;
        used_ = 0;
    }

    // the next record, or null at the end; it is overwritten by the one after
    const uint32_t* next() {
        if (used_ == filled_) {
            uint64_t left = total_ - done_;
            if (left == 0) return nullptr;
            filled_ = left < room_ ? left : room_;
            file_.read(block_.get(), 4 * filled_, 4 * done_);
            done_ += filled_;
            used_ = 0;
        }
        const uint32_t* record = block_.get() + used_;
        used_ += width_;
        return record;
    }

  private:
    static constexpr uint64_t BLOCK = 1 << 16;

    void flush() {
        file_.append(block_.get(), 4 * used_);
        used_ = 0;
    }

    uint64_t width_, room_, used_ = 0, filled_ = 0, done_ = 0, total_ = 0;
    uint64_t held_ = 0;  // all of it, where no file was needed
    bool written_ = false;
    NgramScratch file_;
    std::unique_ptr<uint32_t[]> block_;
};

}  // namespace karussell
