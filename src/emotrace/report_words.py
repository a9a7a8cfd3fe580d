"""Timeline -> a few plain sentences, and numbers as people write them."""

from emotrace.labels import EMOTIONS
from emotrace.report_traces import clock_text
from emotrace.timeline import NO_AUDIO_TRACK, NO_VIDEO_TRACK, Summary, Timeline


def summary_in_words(timeline: Timeline, summary: Summary | None = None) -> str:
    """Return the recording in a few plain sentences.

    Args:
        timeline: of the recording, a row for each tick.
        summary: what is said of it instead of its own.
    """
    if summary is None:
        summary = timeline.summary()
    if not len(timeline):
        return "There is nothing to show: no moment of the recording could be analysed."
    sentences = [_words_on_evidence(timeline, summary)]
    if summary["dominant_emotion"] is None and summary["mean_arousal"] is not None:
        sentences.append("The bundle tells no emotions.")
    elif summary["dominant_emotion"] is None:
        sentences.append("That is too little to read an emotion from, so the trace is empty.")
    else:
        sentences.append(_words_on_emotions(summary, summary["dominant_emotion"]))
    if summary["clip_class"] is not None:
        share = summary["clip_probabilities"][summary["clip_class"]]
        sentences.append(f"Taken as a whole, the recording is told as {summary['clip_class']} ({share:.2f}).")
    sentences += _words_on_coordinates(summary)
    audio, video = summary["audio_share"], summary["video_share"]
    if audio is not None and video is not None and 0 < audio < 1:
        sentences.append(f"The voice carried {percent_text(audio)} of the weight, the face {percent_text(video)}.")
    return " ".join(sentences)


def _words_on_evidence(timeline: Timeline, summary: Summary) -> str:
    length = clock_text(summary["duration_seconds"])
    face, speech = percent_text(summary["face_share"]), percent_text(summary["speech_share"])
    missing = {gap.kind for gap in timeline.metadata.gaps}
    if summary["face_share"] is None:
        return f"In {length} of media speech was found {speech} of the time; only the voice was analysed."
    if summary["speech_share"] is None:
        return f"In {length} of media a face was found {face} of the time; only the face was analysed."
    if NO_VIDEO_TRACK in missing:
        return f"In {length} of sound without a picture, speech was found {speech} of the time."
    if NO_AUDIO_TRACK in missing:
        return f"In {length} of picture without sound, a face was found {face} of the time."
    return f"In {length} of media a face was found {face} of the time and speech {speech}."


def _words_on_emotions(summary: Summary, dominant: str) -> str:
    means = {emotion: mean or 0.0 for emotion, mean in summary["mean_probability"].items()}
    second = max((emotion for emotion in EMOTIONS if emotion != dominant), key=means.__getitem__)
    how = "The impression is mostly" if means[dominant] > 0.5 else "The strongest impression is"
    text = f"{how} {dominant} (mean probability {means[dominant]:.2f})"
    return f"{text}, followed by {second} ({means[second]:.2f})." if means[second] >= 0.05 else f"{text}."


def _words_on_coordinates(summary: Summary) -> list[str]:
    sentences = []
    mean, peak, when = summary["mean_arousal"], summary["peak_arousal"], summary["peak_arousal_seconds"]
    if mean is not None and peak is not None and when is not None:
        peak_text = f"with a peak of {number_text(peak)} at {clock_text(when)}"
        sentences.append(f"Arousal is {number_text(mean)} on average, {peak_text}.")
    mean, low, high = summary["mean_valence"], summary["lowest_valence"], summary["peak_valence"]
    if mean is not None and low is not None and high is not None:
        extent = f"between {number_text(low)} and {number_text(high)}"
        sentences.append(f"Valence is {number_text(mean)} on average, {extent}.")
    return sentences


def percent_text(value: float | None) -> str:
    """Return a share as whole percent."""
    if value is None:
        return "unknown"
    return f"{round(100 * value)}\N{NO-BREAK SPACE}%"


def number_text(value: float) -> str:
    """Return two decimals with a true minus sign."""
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "\N{MINUS SIGN}")


def signed_text(value: float | None) -> str:
    """Return two decimals with a sign, also for what is above zero."""
    if value is None:
        return "unknown"
    return ("+" if value > 0.005 else "") + number_text(value)
