"""What the file that was timed answers to a whole test set. Nothing is timed here; the labels stay on the host."""

from .process import WorkerFailed


def measure_accuracy(subjects, plan, journal, store, survives):
    """Piece by piece, an artifact after the other; what breaks keeps the numbers that it has."""
    if not plan["accuracy"]:
        return
    for subject in subjects:
        for number in range(len(subject.spec["test"] or ())):
            if subject.worker is None or not survives(subject, journal, answer, subject, number, plan, journal, store):
                break


def answer(subject, number, plan, journal, store):
    """The class of each image of one piece, by the largest output."""
    sha256, count = subject.spec["test"][number]
    classes = subject.worker.ask("classify", plan["worker_timeout_s"], inputs=str(store.checked(sha256)), count=count)
    if len(classes) != count:
        raise WorkerFailed("error", "%d answers to %d images" % (len(classes), count))
    journal.write("answers", artifact=subject.index, piece=number, classes=classes)
