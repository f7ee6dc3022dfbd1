package signer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Processes are the children of one signer. They die with this program, however
// it ends: Stop on the ordinary ways out, the kernel's parent-death signal on a kill -9.
type Processes struct {
	dir      string
	children []*child
}

type child struct {
	name string
	pid  int
	done chan struct{} // closed when the child's end was collected
	end  error         // to be read after that
}

// NewProcesses keeps the children's standard error under `dir`.
func NewProcesses(dir string) *Processes { return &Processes{dir: dir} }

// Spawn starts one child in a process group of its own. Standard output goes
// nowhere: tmkms prints a line for each signature there, and a file growing by
// those on the disk that others sync would cost all of them.
func (p *Processes) Spawn(name, program string, args ...string) error {
	log, err := os.Create(filepath.Join(p.dir, name+".stderr"))
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(program, args...)
	command.Stderr = log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := startFromLastingThread(command); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	c := &child{name: name, pid: command.Process.Pid, done: make(chan struct{})}
	go func() {
		c.end = command.Wait()
		close(c.done)
	}()
	p.children = append(p.children, c)
	return nil
}

// Pids lists the children.
func (p *Processes) Pids() []int {
	pids := make([]int, len(p.children))
	for i, c := range p.children {
		pids[i] = c.pid
	}
	return pids
}

// Ended names a child that has ended by itself, with the last words it wrote.
func (p *Processes) Ended() error {
	for _, c := range p.children {
		select {
		case <-c.done:
			words, _ := os.ReadFile(filepath.Join(p.dir, c.name+".stderr"))
			return fmt.Errorf("%s ended by itself (%v): %s", c.name, c.end, tail(string(words), 600))
		default:
		}
	}
	return nil
}

// Stop asks all children to end, and after a second kills what is left of
// their process groups. (priv_val_server takes five seconds by itself.)
func (p *Processes) Stop() {
	for _, c := range p.children {
		c.signal(syscall.SIGTERM)
	}
	patience := time.After(time.Second)
	for _, c := range p.children {
		select {
		case <-c.done:
		case <-patience:
			for _, late := range p.children {
				late.signal(syscall.SIGKILL)
			}
			<-c.done
		}
	}
	p.children = nil
}

// signal reaches the child's whole group, unless the child was collected already:
// its id may be somebody else's by then.
func (c *child) signal(signal syscall.Signal) {
	select {
	case <-c.done:
	default:
		_ = syscall.Kill(-c.pid, signal)
	}
}

// ResidentBytes is the sum of the children's VmRSS, and the largest of them.
func (p *Processes) ResidentBytes() (sum, largest uint64, err error) {
	for _, c := range p.children {
		one, err := residentBytes(c.pid)
		if err != nil {
			return 0, 0, err
		}
		sum += one
		largest = max(largest, one)
	}
	return sum, largest, nil
}

func residentBytes(pid int) (uint64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			kibibytes, err := strconv.ParseUint(strings.Fields(value)[0], 10, 64)
			return kibibytes * 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS: it has ended", pid)
}

func tail(text string, most int) string {
	text = strings.TrimSpace(text)
	return text[max(0, len(text)-most):]
}

type start struct {
	command *exec.Cmd
	result  chan error
}

var starts = func() chan<- start {
	requests := make(chan start)
	go func() {
		runtime.LockOSThread()
		for request := range requests {
			request.result <- request.command.Start()
		}
	}()
	return requests
}()

// startFromLastingThread: the parent-death signal is sent when the *thread* that
// forked ends, and Go ends threads as it likes; this one stays.
func startFromLastingThread(command *exec.Cmd) error {
	result := make(chan error)
	starts <- start{command, result}
	return <-result
}
