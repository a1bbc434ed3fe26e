/** Tells the media plugin what a video element does. */
import {
  startMediaTracking, trackMediaEnd, trackMediaPause, trackMediaPlay, trackMediaReady,
  trackMediaSeekEnd, trackMediaSeekStart, trackMediaVolumeChange, updateMediaTracking,
} from '@snowplow/browser-plugin-media';

const EVENTS = {
  loadedmetadata: trackMediaReady,
  play: trackMediaPlay,
  pause: trackMediaPause,
  ended: trackMediaEnd,
  seeking: trackMediaSeekStart,
  seeked: trackMediaSeekEnd,
  timeupdate: updateMediaTracking,
};

function state(video) {
  const { currentTime, duration, ended, loop, muted, paused, playbackRate } = video;
  const volume = Math.round(video.volume * 100);
  return { currentTime, duration: Number.isFinite(duration) ? duration : null, ended, loop, muted, paused, playbackRate, volume };
}

export function trackVideo(video) {
  const id = window.crypto.randomUUID ? window.crypto.randomUUID() : `${video.id}-${Date.now()}`;
  const label = document.title;
  startMediaTracking({
    id,
    player: { ...state(video), label, mediaType: 'video', playerType: 'org.whatwg-media_element' },
    boundaries: [25, 50, 75],
    pings: { pingInterval: 5 },
  });
  Object.entries(EVENTS).forEach(([name, track]) => {
    video.addEventListener(name, () => track({ id, player: state(video) }));
  });
  video.addEventListener('volumechange', () => {
    trackMediaVolumeChange({ id, player: state(video), newVolume: Math.round(video.volume * 100) });
  });
  if (video.readyState > 0) trackMediaReady({ id, player: state(video) });
}
